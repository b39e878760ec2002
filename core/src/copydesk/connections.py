"""From a connection's configuration to what its plugin is given: checked options, defaults filled in, keys looked up."""

from __future__ import annotations

from copydesk.bots import check_accounts
from copydesk.config import CONFIG_NAME, BotSettings, Config, account_of, connection_of
from copydesk.errors import ConfigError, UsageError
from copydesk.model import ConnectionSettings, KindInfo
from copydesk.plugins import describe_kind
from copydesk.secrets import SealedFile, secrets_for, variable_of


def check_bot_accounts(bot: BotSettings, config: Config) -> None:
    """Raises `UsageError` unless the bot's accounts are of configured connections, of one installed kind, and can exist."""
    check_accounts(bot, config)
    info = describe_kind(config.kind_of(bot.parent))
    for account in bot.accounts:
        if account_of(account) and info.capabilities.one_account_per_connection:
            name = connection_of(account)
            raise UsageError(f"account {account!r}: a connection of kind {info.kind!r} has one account, written {name!r}")


def options_for(name: str, config: Config, info: KindInfo) -> dict[str, str]:
    """The plain settings of a connection. Raises `ConfigError` for one that is unknown, secret or missing."""
    given = config.connections[name].options
    fields = {field.name: field for field in info.fields}
    place = f"{CONFIG_NAME}: [connections.{name}]"
    for option in given:
        field = fields.get(option)
        if field is None:
            known = ", ".join(key for key, known_field in fields.items() if not known_field.secret) or "none"
            raise ConfigError(f"{place}: the kind {info.kind!r} has no setting {option!r}; its settings: {known}")
        if field.secret:
            raise ConfigError(
                f"{place}: {option!r} is secret: take it out of the file and give it with "
                f"`copydesk secrets set {name} {option}` or {variable_of(name, option)}"
            )
    missing = [
        key for key, field in fields.items() if field.required and not (field.secret or field.default or key in given)
    ]
    if missing:
        raise ConfigError(f"{place}: {missing[0]!r} is missing ({fields[missing[0]].title}): add it")
    return {key: given.get(key, field.default) for key, field in fields.items() if not field.secret}


def settings_for(name: str, config: Config, info: KindInfo, sealed: SealedFile) -> ConnectionSettings:
    """What the plugin's `connect` is given. Raises `UsageError`, `ConfigError` or `SecretsError`, each with a remedy."""
    if name not in config.connections:
        known = ", ".join(sorted(config.connections)) or "none yet"
        raise UsageError(f"there is no connection {name!r} in {CONFIG_NAME} (there: {known})")
    options = options_for(name, config, info)
    return ConnectionSettings(name=name, kind=info.kind, options=options, secrets=secrets_for(name, info, sealed))
