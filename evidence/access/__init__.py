"""Who may change segmentation."""
