"""The demo: a rehearsal venue, a parent who trades by a script, children that follow, and a verdict on how well they did.

`stage.py` runs the processes, `trader.py` is the parent, `verdict.py` asks venue and engine how it went, `show.py` is the
whole evening.
"""
