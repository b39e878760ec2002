"""TWS's codes and sentences, as its message code reference and its users' logs have them."""

from __future__ import annotations

from typing import Final

CODES: Final[dict[str, tuple[int, str]]] = {
    "rate": (100, "Max rate of messages per second has been exceeded:max={most} rec={count} ({times})"),
    "tickers": (101, "Max number of tickers has been reached."),
    "duplicate-ticker": (102, "Duplicate ticker ID."),
    "duplicate-order": (103, "Duplicate order id"),
    "modify-filled": (104, "Cannot modify a filled order."),
    "mismatch": (105, "Order being modified does not match original order."),
    "incomplete": (107, "Cannot transmit incomplete order."),
    "tick": (110, "The price does not conform to the minimum price variation for this contract."),
    "tif": (111, "The TIF {tif} and the order type {type} are incompatible."),
    "at-close-tif": (113, "The Tif option should be set to DAY for MOC and LOC orders."),
    "history": (162, "Historical Market Data Service error message:{reason}"),
    "unknown-contract": (200, "No security definition has been found for the request"),
    "ambiguous": (
        200,
        "The contract description specified for {symbol} is ambiguous; you must specify the multiplier or trading class.",
    ),
    "rejected": (201, "Order rejected - reason:{reason}"),
    "cancelled": (202, "Order Canceled - reason:{reason}"),
    "unknown-ticker": (300, "Can't find EId with tickerId:{id}"),
    "unreadable": (320, "Error reading request. {reason}"),
    "invalid": (321, "Error validating request.-'{place}' : cause - {reason}"),
    "client-id": (326, "Unable to connect as the client id is already in use. Retry with a unique client id."),
    "bind": (327, "Only the default client (i.e., 0) can auto bind orders."),
    "order-type": (387, "Unsupported order type for this exchange and security type."),
    "too-small": (388, "Order size {quantity} is smaller than the minimum required size of {least}."),
    "message": (399, "Order Message:\n{order}\nWarning: {reason}"),
    "zero": (434, "The order size cannot be zero."),
    "account": (435, "You must specify an account."),
    "not-connected": (504, "Not connected"),
    "unknown-message": (505, "Fatal Error: Unknown message id."),
    "lost": (1100, "Connectivity between IBKR and Trader Workstation has been lost."),
    "restored-lost": (1101, "Connectivity between IBKR and Trader Workstation has been restored - data lost."),
    "restored-kept": (
        1102,
        (
            "Connectivity between IBKR and Trader Workstation has been restored - data maintained. "
            "All data farms are connected: usfarm; ushmds; secdefnj."
        ),
    ),
    "port": (
        1300,
        "TWS socket port has been reset and this connection is being dropped. Please reconnect on the new port - {port}",
    ),
    "one-account": (
        2100,
        "The new account data requested from TWS. API client has been unsubscribed from account data.",
    ),
    "market-data-broken": (2103, "Market data farm connection is broken:usfarm"),
    "market-data-ok": (2104, "Market data farm connection is OK:usfarm"),
    "history-ok": (2106, "HMDS data farm connection is OK:ushmds"),
    "outside-hours": (
        2109,
        (
            "Order Event Warning:Attribute 'Outside Regular Trading Hours' is ignored based on the order type and "
            "destination. PlaceOrder is now being processed."
        ),
    ),
    "definitions-ok": (2158, "Sec-def data farm connection is OK:secdefnj"),
    "algo-unknown": (439, "Order processing failed. Algorithm definition not found."),
    "algo-value": (441, "Algo attributes validation failed:{reason}"),
    "algo-not-allowed": (442, "Specified algorithm is not allowed for this order."),
    "algo-attribute": (443, "Order processing failed. Unknown algo attribute."),
    "no-parent": (10006, "Missing parent order."),
    "good-till": (10052, "Invalid time in force:{tif}"),
    "cancel-unknown": (10147, "OrderId {id} that needs to be cancelled is not found."),
    "cancel-ended": (10148, "OrderId {id} that needs to be cancelled cannot be cancelled, state: {status}."),
    "order-id": (10149, "Invalid order id: {id}"),
    "fraction": (
        10243,
        "Fractional-sized order cannot be placed via API. Please place order in TWS or other IBKR platforms.",
    ),
    "preset": (10349, "Order TIF was set to DAY based on order preset."),
}
"""By a name of our own: TWS's code and its sentence."""


class Refusal(Exception):
    """TWS says no: a code and a sentence for the request that it answers."""

    def __init__(self, name: str, **words: object) -> None:
        self.code, text = CODES[name]
        super().__init__(text.format_map({key: str(value) for key, value in words.items()}) if words else text)


def invalid(reason: str) -> Refusal:
    """A request whose content TWS does not accept."""
    return Refusal("invalid", place="bW", reason=reason)
