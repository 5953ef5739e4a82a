"""Who can talk to whom: exact reachability from policies, on classes of pods, atoms of ports and ranges of addresses."""
