"""Parts that methods are built from: losses, queues, clusters, generators, caption augmentation."""
