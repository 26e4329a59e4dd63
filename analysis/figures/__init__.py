"""Results as plotly figures, a file per topic; `style` is what they share. Nothing else knows plotly."""
