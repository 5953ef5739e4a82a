"""What a reader of the store looks at, as frozen values: clusters, snapshots, findings, the timeline, reachability, packs, the log.

Each function goes from the store, or from a state that was analysed before, and some parameters to one value. The web application's pages and
its JSON are both made from these values, so that they cannot disagree. Time comes in as an argument.
"""
