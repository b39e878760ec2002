"""What the spot service keeps of an account beyond what the exchange does."""

from __future__ import annotations

import base64
from collections import deque
from decimal import Decimal
from pathlib import Path

from copydesk.errors import UsageError
from copydesk.model import ZERO, Order, Record
from copydesk_paper.serving.signatures import is_signature
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import ed25519, padding, rsa
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import load_pem_public_key

from copydesk_binance.rehearsal.limits import OrderCount
from copydesk_binance.rehearsal.spot.order_list import OrderList

KEPT_UNPLACED = 5_000
PublicKey = ed25519.Ed25519PublicKey | rsa.RSAPublicKey


class Detail(Record):
    """What Binance keeps of an order beyond its terms. `list_id` is below zero for an order by itself, `working_ms` before
    it stands in the book. `pending`: it waits for the working order of its list."""

    kind: str = "LIMIT"
    time_in_force: str = "GTC"
    prevention: str = "NONE"
    quote_quantity: Decimal = ZERO
    list_id: int = -1
    strategy_id: int = 0
    strategy_type: int = 0
    response: str = ""
    working_ms: int = -1
    pending: bool = False
    expiry: str = ""
    spent: Decimal = ZERO


class Account:
    """One account: its key, its order counts, its orders' details, its order lists, its amendments.

    With a `public_key` (Ed25519 or RSA) signatures are made with the private one, else with the secret.
    """

    def __init__(
        self, name: str, key: str, secret: str, orders: OrderCount, uid: int, public_key: PublicKey | None = None
    ) -> None:
        self.name = name
        self.key = key
        self.secret = secret.encode()
        self.public_key = public_key
        self.orders = orders
        self.uid = uid
        self.details: dict[str, Detail] = {}
        self.lists: dict[int, OrderList] = {}
        self.amendments: deque[dict[str, object]] = deque(maxlen=5_000)
        self.renamed: dict[str, str] = {}
        """Client ids under which orders are known now, where an amendment changed them, by the exchange's id."""
        self.unplaced: dict[str, Order] = {}
        """Orders that ended without coming to the market: in their lists, or because the book could not fill them."""
        self.cancelling = ""
        """The client id of the cancel that is being carried out."""
        self.wallets: dict[str, Decimal] = {}
        """What there was of each asset when something was last told."""
        self.updated_ms = 0

    @property
    def may_log_on(self) -> bool:
        """Only Ed25519 keys can."""
        return isinstance(self.public_key, ed25519.Ed25519PublicKey)

    def keep_unplaced(self, order: Order) -> None:
        self.unplaced[order.venue_id] = order
        if len(self.unplaced) > KEPT_UNPLACED:
            del self.unplaced[next(iter(self.unplaced))]

    def has_signed(self, text: str, signature: str) -> bool:
        if self.public_key is None:
            return is_signature(signature, self.secret, text)
        try:
            raw = base64.b64decode(signature, validate=True)
            if isinstance(self.public_key, ed25519.Ed25519PublicKey):
                self.public_key.verify(raw, text.encode())
            else:
                self.public_key.verify(raw, text.encode(), padding.PKCS1v15(), SHA256())
        except (InvalidSignature, ValueError):
            return False
        return True

    def __repr__(self) -> str:
        return f"Account({self.name!r})"


def read_public_key(path: str) -> PublicKey:
    """The Ed25519 or RSA public key in a PEM file. Raises `UsageError`."""
    try:
        key = load_pem_public_key(Path(path).expanduser().read_bytes())
    except (OSError, ValueError) as error:
        raise UsageError(f"{path} is not a public key in PEM form: {error}") from None
    if not isinstance(key, ed25519.Ed25519PublicKey | rsa.RSAPublicKey):
        raise UsageError(f"{path} holds a key of another kind: Binance takes Ed25519 and RSA keys")
    return key
