"""Long-running ways to use the pipeline."""
