"""What the owner of a cluster declares: zones, approved flows, waivers, reviews (`segmentation.yaml`)."""
