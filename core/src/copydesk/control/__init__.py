"""The control API: HTTP and a websocket on loopback, by which the panel and the command line work with a running engine.

`Desk` is what it needs of the engine, `serve` runs it in the engine's event loop, `create_app` is the application alone.
Its clients are in `copydesk.client`.
"""

from copydesk.control.app import create_app
from copydesk.control.desk import Desk
from copydesk.control.serving import Running, serve
from copydesk.control.stream import GONE, TOO_SLOW, StreamLimits
from copydesk.view import LogQuery

__all__ = ["GONE", "TOO_SLOW", "Desk", "LogQuery", "Running", "StreamLimits", "create_app", "serve"]
