"""Analysis of galleries: pure functions from embeddings to tables, plots of the tables, and a report."""
