"""Quality metrics: dense against masked output, one file a metric."""
