"""One table from Bybit's return codes to what copydesk does about them, and the rule that tells "no" from "nobody knows".

Bybit answers almost everything with HTTP 200 and says in `retCode` what became of it. Source: Bybit v5, "Error Codes";
sentences of code 10001 as the venue sends them, because that one code stands for any bad parameter.
"""

from __future__ import annotations

from typing import Any, NoReturn

from copydesk.model import Record, Rejected, RejectReason, Unknown
from copydesk_wire.connection import Answer
from copydesk_wire.errors import Family, Meaning, failure, outcome, read_json

_R = RejectReason
SECOND_MS, ADDRESS_MS = 1_000, 5_000
"""How long the venue counts requests: of an account, and of an address."""

CODES: dict[int, Meaning] = {
    # general
    -1: Family.CLOCK,  # "request expired"
    -2015: Family.AUTH,
    429: _R.OVERLOADED,  # "The trading service is experiencing a high server load. Please retry"
    10000: Family.UNKNOWN,  # "Server Timeout"
    10001: _R.OTHER,  # any parameter: see MESSAGES
    10002: Family.CLOCK,
    10003: Family.AUTH,
    10004: Family.AUTH,
    10005: _R.PERMISSION,
    10006: _R.RATE_LIMIT,
    10007: Family.AUTH,
    10008: _R.PERMISSION,
    10009: Family.AUTH,  # not served in this region
    10010: Family.AUTH,  # the key is bound to other addresses
    10014: _R.DUPLICATE_ID,
    10016: Family.UNKNOWN,  # "Server error"
    10018: _R.RATE_LIMIT,
    10019: _R.OVERLOADED,  # the order entry restarts and takes nothing new
    10024: _R.PERMISSION,
    10027: _R.PERMISSION,
    10028: Family.AUTH,  # only unified accounts
    10029: _R.SYMBOL,
    10403: _R.RATE_LIMIT,
    10429: _R.RATE_LIMIT,
    20003: _R.RATE_LIMIT,
    33004: Family.AUTH,
    100028: Family.AUTH,
    # linear and inverse: orders
    30133: _R.SYMBOL,
    30134: _R.SYMBOL,
    30208: _R.PRICE,
    30209: _R.PRICE,
    30228: _R.SYMBOL,  # no new positions during delisting
    30256: _R.MARGIN,
    40004: _R.OVERLOADED,  # modified while being replaced
    110001: _R.NOT_FOUND,
    110003: _R.PRICE,
    110004: _R.MARGIN,
    110005: _R.OTHER,
    110006: _R.MARGIN,
    110007: _R.MARGIN,
    110008: _R.NOT_FOUND,  # completed or cancelled
    110009: _R.OTHER,  # too many stop orders
    110010: _R.NOT_FOUND,
    110011: _R.MARGIN,
    110012: _R.MARGIN,
    110013: _R.MARGIN,
    110014: _R.MARGIN,
    110015: _R.MODE,
    110017: _R.NOTHING_TO_REDUCE,  # "orderQty will be truncated to zero"
    110021: _R.QUANTITY,  # position limit because of open interest
    110022: _R.QUANTITY,
    110023: _R.SYMBOL,  # only reducing is allowed
    110024: _R.MODE,
    110025: _R.UNCHANGED,
    110026: _R.UNCHANGED,
    110027: _R.UNCHANGED,
    110028: _R.MODE,
    110029: _R.MODE,
    110034: _R.NOTHING_TO_REDUCE,  # "There is no net position"
    110036: _R.MODE,
    110038: _R.MODE,
    110039: _R.MARGIN,
    110040: _R.MARGIN,
    110042: _R.SYMBOL,
    110043: _R.UNCHANGED,
    110044: _R.MARGIN,
    110045: _R.MARGIN,
    110046: _R.MARGIN,
    110047: _R.MARGIN,
    110048: _R.MARGIN,
    110051: _R.MARGIN,
    110052: _R.MARGIN,
    110053: _R.MARGIN,
    110058: _R.NOTHING_TO_REDUCE,
    110063: _R.SYMBOL,
    110064: _R.QUANTITY,  # not above what is filled
    110066: _R.PERMISSION,
    110069: _R.PERMISSION,
    110070: _R.SYMBOL,
    110072: _R.DUPLICATE_ID,
    110074: _R.SYMBOL,
    110077: _R.MODE,
    110079: _R.OVERLOADED,  # "is processing and can not be operated, please try again later"
    110080: _R.PERMISSION,
    110085: _R.MARGIN,
    110086: _R.MARGIN,
    110088: _R.PERMISSION,
    110089: _R.MARGIN,
    110090: _R.QUANTITY,
    110092: _R.PRICE,  # "expect Rising, but trigger_price <= current"
    110093: _R.PRICE,
    110094: _R.QUANTITY,  # notional below the lower limit
    110095: _R.SYMBOL,
    110098: _R.OTHER,
    110101: _R.MARGIN,
    110103: _R.POST_ONLY,
    110116: _R.PRICE,
    110118: _R.OVERLOADED,
    110120: _R.PRICE,
    110121: _R.PRICE,
    110123: _R.PERMISSION,
    110124: _R.PERMISSION,
    110125: _R.PERMISSION,
    110131: _R.MARGIN,
    110132: _R.PERMISSION,
    34040: _R.UNCHANGED,
    34036: _R.UNCHANGED,
    3400139: _R.MARGIN,
    3400214: Family.UNKNOWN,
    3200403: _R.MODE,
    # spot
    170001: Family.UNKNOWN,
    170005: _R.RATE_LIMIT,
    170007: Family.UNKNOWN,
    170010: _R.QUANTITY,
    170011: _R.QUANTITY,
    170019: _R.QUANTITY,
    170031: _R.PERMISSION,
    170032: Family.UNKNOWN,
    170033: _R.MARGIN,
    170034: _R.MARGIN,
    170035: Family.UNKNOWN,  # "Submitted to the system for processing!"
    170036: _R.PERMISSION,
    170037: _R.PERMISSION,
    170121: _R.SYMBOL,
    170124: _R.QUANTITY,
    170131: _R.MARGIN,
    170132: _R.PRICE,
    170133: _R.PRICE,
    170134: _R.PRICE,
    170136: _R.QUANTITY,
    170137: _R.QUANTITY,
    170139: _R.NOT_FOUND,
    170140: _R.QUANTITY,
    170141: _R.DUPLICATE_ID,
    170142: _R.NOT_FOUND,
    170143: _R.NOT_FOUND,
    170144: _R.OVERLOADED,
    170146: Family.UNKNOWN,  # "Order creation timeout"
    170147: Family.UNKNOWN,
    170148: _R.QUANTITY,
    170149: Family.UNKNOWN,
    170150: Family.UNKNOWN,
    170151: _R.SYMBOL,
    170157: _R.SYMBOL,
    170159: _R.SYMBOL,
    170190: _R.NOT_FOUND,
    170191: _R.OVERLOADED,
    170192: _R.PRICE,
    170193: _R.PRICE,
    170194: _R.PRICE,
    170195: _R.PRICE,
    170196: _R.PRICE,
    170197: _R.QUANTITY,
    170198: _R.QUANTITY,
    170199: _R.QUANTITY,
    170200: _R.QUANTITY,
    170203: _R.PRICE,
    170204: _R.PRICE,
    170206: _R.SYMBOL,
    170209: _R.PERMISSION,
    170212: Family.UNKNOWN,  # "Cancel order request processing"
    170213: _R.NOT_FOUND,
    170217: _R.POST_ONLY,
    170218: _R.POST_ONLY,
    170219: _R.PERMISSION,
    170221: _R.SYMBOL,
    170222: _R.RATE_LIMIT,
    170228: _R.QUANTITY,
    170229: _R.QUANTITY,
    170234: Family.UNKNOWN,
    170310: Family.UNKNOWN,
    170311: Family.UNKNOWN,
    170313: _R.QUANTITY,
    170341: _R.QUANTITY,
    170344: _R.SYMBOL,
    170346: _R.PERMISSION,
    170348: _R.PERMISSION,
    170360: _R.SYMBOL,
    170371: _R.PRICE,
    170372: _R.PRICE,
    170381: _R.QUANTITY,
    170382: _R.QUANTITY,
    176015: _R.MARGIN,
}
"""Codes that mean something of their own. A code that is not here is a plain refusal (`RejectReason.OTHER`)."""

MESSAGES: tuple[tuple[int, str, Meaning], ...] = (
    # (code, 0 for any; words of the message in lower case; meaning). Looked at before `CODES`.
    (10001, "position idx not match", _R.MODE),
    (10001, "position mode", _R.MODE),
    (10001, "remains unchanged", _R.UNCHANGED),
    (10001, "not modified", _R.UNCHANGED),
    (10001, "number of contracts", _R.QUANTITY),
    (10001, "qty", _R.QUANTITY),
    (10001, "quantity", _R.QUANTITY),
    (10001, "trigger_price", _R.PRICE),
    (10001, "price", _R.PRICE),
    (10001, "symbol", _R.SYMBOL),
    (10001, "reduce-only", _R.NOTHING_TO_REDUCE),
    (10001, "zero position", _R.NOTHING_TO_REDUCE),
    (10001, "request expired", Family.CLOCK),
    (110017, "same side", _R.NOTHING_TO_REDUCE),
    (10004, "timestamp", Family.CLOCK),
)

STATUSES: dict[int, Meaning] = {
    401: Family.AUTH,
    403: _R.RATE_LIMIT,  # "IP rate limit breached"
    429: _R.RATE_LIMIT,
}
"""Meaning of an HTTP status, for a reply whose body carries no code."""

NOT_KNOWN = frozenset({"110001", "170213"})
"""Where a look-up says that there is no such order."""


class Reply(Record):
    """An answer of the venue as far as errors need it. `body` is the decoded JSON (numbers as `Decimal`), or None.

    `resets_ms`: when the limit that was exceeded is whole again, as the header says.
    """

    status: int
    text: str
    body: Any = None
    resets_ms: int = 0

    @property
    def code(self) -> int:
        """The venue's return code; 0 where it says that all is well, or has none."""
        code = self.body.get("retCode") if isinstance(self.body, dict) else None
        return code if isinstance(code, int) and not isinstance(code, bool) else 0

    @property
    def message(self) -> str:
        """The venue's sentence, or the beginning of whatever it sent instead."""
        message = self.body.get("retMsg") if isinstance(self.body, dict) else None
        return str(message) if isinstance(message, str) and message else " ".join(self.text.split())[:120]

    @property
    def is_fine(self) -> bool:
        return self.status < 400 and isinstance(self.body, dict) and self.body.get("retCode") == 0


def read_answer(answer: Answer) -> Reply:
    """Decode what came back. Never raises."""
    resets = answer.header("X-Bapi-Limit-Reset-Timestamp")
    return Reply(
        status=answer.status,
        text=answer.text,
        body=read_json(answer.text),
        resets_ms=int(resets) if resets.isdecimal() and len(resets) <= 16 else 0,
    )


def meaning(reply: Reply) -> Meaning:
    """What an error reply means. A reply that cannot be read means that nobody knows."""
    code, words = reply.code, reply.message.lower()
    for wanted, part, result in MESSAGES:
        if wanted in (0, code) and part in words:
            return result
    if code:
        return CODES.get(code, RejectReason.OTHER)
    if reply.status >= 500 or reply.status < 400:
        return Family.UNKNOWN
    return STATUSES.get(reply.status, RejectReason.OTHER if reply.body is not None else Family.UNKNOWN)


def wait_ms(reply: Reply, now_ms: int) -> int:
    """When to try again: what the header says of the limit, a second where it says nothing, five where an address asked
    too often."""
    if meaning(reply) is not RejectReason.RATE_LIMIT:
        return 0
    if reply.status == 403:
        return ADDRESS_MS
    return max(1, reply.resets_ms - now_ms) if reply.resets_ms else SECOND_MS


def refusal(reply: Reply, what: str, now_ms: int) -> Rejected | Unknown:
    """The outcome that an error reply to a place, modify or cancel means. `what` names the request in the sentence."""
    code, sentence = _said(reply, what)
    return outcome(meaning(reply), sentence, code=code, wait_ms=wait_ms(reply, now_ms))


def raise_for(reply: Reply, what: str, now_ms: int) -> NoReturn:
    """Raise the error that an error reply to a read means.

    Raises `AuthFailed`, `RateLimited`, `NotReady` (overloaded, clock, unreadable, status unknown) or `Refused`.
    """
    code, sentence = _said(reply, what)
    raise failure(meaning(reply), sentence, code=code, wait_ms=wait_ms(reply, now_ms))


def _said(reply: Reply, what: str) -> tuple[str, str]:
    code = str(reply.code) if reply.code else str(reply.status)
    return code, f"{what}: Bybit answered {code}: {reply.message}"
