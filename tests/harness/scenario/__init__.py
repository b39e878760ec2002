"""Scenarios: short files that a trader can read, played against the pure engine and against a venue over sockets.

`words` reads and writes orders and amounts, `phrases` is the table of all steps, `reading` the files, `stage` what a
runner has to offer and how a file is played on it, `pure` and `wire` the two runners, `guide` the page made of them.
"""
