"""Many clusters in one store: all of a period's history evaluated again by today's rules and mappings, here or on a distributed engine.

`units` cuts the work into months of clusters, `evaluation` does one of them, `folder` keeps what came out, `here` and `dask` run them,
`compare` lays the results beside what packs or an earlier reassessment said, `reassess` is the use case.
"""
