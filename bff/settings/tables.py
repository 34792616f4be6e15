"""The settings as one frozen object: the tables of `vestibule.toml` with types, bounds and defaults.

Loading, merging and reporting live in `bff.settings.loading`; what the keys mean is docs/configuration.md.
Durations are seconds, sizes bytes, unless a name says otherwise.
"""

from __future__ import annotations

from ipaddress import IPv4Network, IPv6Network
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, SecretStr, field_validator, model_validator
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

Name = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_-]{0,62}$")]
Positive = Annotated[float, Field(gt=0, le=10**9)]
QuietPath = Annotated[str, Field(pattern=r"^/[^?#*]*$")]
Algorithm = Literal["RS256", "PS256", "ES256", "EdDSA"]
ClientAuth = Literal["client_secret_basic", "client_secret_post", "private_key_jwt", "none"]
Profile = Literal[
    "",
    "entra",
    "keycloak",
    "okta",
    "auth0",
    "google",
    "cognito",
    "zitadel",
    "authentik",
    "gitlab",
    "dex",
    "ping",
    "b2c",
]
RouteKind = Literal["api", "page", "static", "websocket"]
TokenKind = Literal["none", "access_token", "id_token", "assertion", "exchange", "client_credentials"]
ForwardAuthMode = Literal["nginx", "traefik", "caddy", "envoy", "haproxy"]
HeaderPreset = Literal["x-auth-request", "x-forwarded", "remote", "none"]

SECRET_FIELDS: dict[str, tuple[str, ...]] = {
    "server": ("trusted_proxy_secret",),
    "secrets": ("keys", "admin_token"),
    "store": ("url",),
    "providers.*": ("client_secret", "client_key", "proxy_url"),
    "outgoing": ("proxy_url",),
    "kit_clients.*": ("secret",),
    "routes": ("upstream_secret",),
}
"""For each table (or each table of a list): the keys that may be given as `<key>_file` instead."""


PAGE_BODY_BYTES = 209_715_200
"""What a page route takes by default: as much as Streamlit."""


class Table(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", str_strip_whitespace=True)


class Tls(Table):
    certificate_file: str = ""
    key_file: str = ""


class ServerSettings(Table):
    public_url: str = "http://localhost:8000"
    origins: tuple[str, ...] = ()
    internal_hosts: tuple[str, ...] = ()
    bind: str = "127.0.0.1:8000"
    management_bind: str = "127.0.0.1:9090"
    public_health: bool = False
    environment: Literal["production", "development"] = "production"
    trusted_proxies: tuple[IPv4Network | IPv6Network, ...] = ()
    trusted_proxy_secret: SecretStr = SecretStr("")
    trusted_host_header: bool = False
    workers: int = Field(1, ge=1, le=256)
    auth_path: str = Field("/auth", pattern=r"^/[A-Za-z0-9_-]+(/[A-Za-z0-9_-]+)*$")
    tls: Tls = Tls()


class SecretSettings(Table):
    keys: tuple[SecretStr, ...] = ()
    admin_token: SecretStr = SecretStr("")


class StoreSettings(Table):
    url: SecretStr = SecretStr("memory://")
    timeout_seconds: Positive = 2
    outage_seconds: float = Field(60, gt=0, le=60)
    """How long open sockets and streams continue while the store does not answer."""
    prefix: str = Field("vestibule:", pattern=r"^[A-Za-z0-9._-][A-Za-z0-9._:-]{0,62}:$")


class SessionSettings(Table):
    idle_seconds: Positive = 3600
    absolute_seconds: Positive = 43200
    refresh_before_expiry_seconds: Annotated[float, Field(ge=0)] = 60
    cookie: Literal["browser", "persistent"] = "browser"
    max_per_person: int = Field(0, ge=0)


class ProviderSettings(Table):
    profile: Profile = ""
    """Whose habits the defaults of this table follow (`bff/settings/profiles.py`)."""
    issuer: str
    backchannel_url: str = ""
    allowed_hosts: tuple[str, ...] = ()
    discovery_url: str = ""
    """Where the provider's document is; "" means at the well-known path below `issuer`."""
    display_name: str = ""
    client_id: str
    client_secret: SecretStr = SecretStr("")
    client_key: SecretStr = SecretStr("")
    """PEM private key for `private_key_jwt`."""
    client_key_id: str = ""
    client_key_alg: Literal["RS256", "PS256", "ES256", "EdDSA"] = "ES256"
    client_auth: ClientAuth = "client_secret_basic"
    scopes: tuple[str, ...] = ("openid", "profile", "email")
    authorization_parameters: dict[str, str] = {}
    """Further parameters of the authorization request, such as `access_type` for Google."""
    email_verified: Literal["claim", "assume"] = "claim"
    """With `assume`, an address counts as verified if the provider says nothing about it."""
    id_token_alg: Algorithm = "RS256"
    userinfo_alg: Algorithm | Literal[""] = ""
    """The algorithm of a signed userinfo answer; "" means `id_token_alg`."""
    trusted_audiences: tuple[str, ...] = ()
    """Audiences that a token may name beside `client_id`; `*` stands for any."""
    assumed_lifetime_seconds: Positive = 300
    """Life of an access token of which nothing says how long it lives, in a session that has a refresh token."""
    response_mode: Literal["query", "form_post"] = "query"
    userinfo: Literal["always", "never"] = "always"
    par: Literal["auto", "required", "off"] = "auto"
    roles_claim: str = "realm_access.roles"
    roles_from: tuple[Literal["userinfo", "id_token", "access_token"], ...] = ("userinfo", "id_token", "access_token")
    groups_claim: str = "groups"
    groups_from: Literal["claims", "graph"] = "claims"
    """`graph`: fetch the groups from Microsoft Graph if the token says only that there are too many."""
    id_token_hint: bool = True
    logout_method: Literal["auto", "get", "cognito"] = "auto"
    """How a sign-out too long for an address is told: by a form, or, where only GET is taken, without the ID token.

    `cognito`: every sign-out is told by Amazon Cognito's own request."""
    revoke_on_backchannel_logout: bool = True
    frontchannel_logout: bool = False
    proxy_url: SecretStr = SecretStr("")
    """Instead of that of `[outgoing]`. It may hold a password."""
    ca_file: str = ""
    http_timeout_seconds: Positive = 10
    clock_skew_seconds: Annotated[float, Field(ge=0, le=300)] = 60

    @field_validator("scopes")
    @classmethod
    def _openid_is_asked_for(cls, scopes: tuple[str, ...]) -> tuple[str, ...]:
        if "openid" not in scopes:
            raise ValueError('add "openid": without it there is no ID token')
        return scopes


class Requirements(Table):
    """All given keys must match. A missing claim does not match."""

    roles_any: tuple[str, ...] = ()
    roles_all: tuple[str, ...] = ()
    groups_any: tuple[str, ...] = ()
    groups_all: tuple[str, ...] = ()
    scopes_all: tuple[str, ...] = ()
    emails: tuple[str, ...] = ()
    email_domains: tuple[str, ...] = ()
    claims: dict[str, str | int | bool | tuple[str, ...]] = {}
    acr_any: tuple[str, ...] = ()
    max_age_seconds: float | None = Field(None, gt=0)


class KitClientSettings(Table):
    secret: SecretStr = SecretStr("")
    routes: tuple[str, ...] = ()
    audiences: tuple[str, ...] = ()
    origins: tuple[str, ...] = ()


class ExchangeSettings(Table):
    audience: str = ""
    resource: str = ""
    scope: str = ""


class AcceptBearer(Table):
    providers: tuple[str, ...] = ()
    audience: str = ""


class Timeouts(Table):
    connect: Positive = 5
    first_byte: Positive = 60
    idle: Positive = 300


class StreamlitChild(Table):
    python: str = ""
    cwd: str = ""
    args: tuple[str, ...] = ()
    env: dict[str, str] = {}
    sandbox: Literal["auto", "none"] = "auto"
    user: str = ""
    read: tuple[str, ...] = ()
    write: tuple[str, ...] = ()


class RouteSettings(Table):
    id: Name
    path: str = Field("/", pattern=r"^/")
    exact: bool = False
    """Serve only `path`, exactly as written, and nothing below it."""
    host: str = ""
    methods: tuple[str, ...] = ()
    upstream: tuple[str, ...] = ()
    upstream_secret: SecretStr = SecretStr("")
    ca_file: str = ""
    strip_prefix: bool = False
    encoded_slashes: bool = False
    framework: Literal["", "streamlit"] = ""
    kind: RouteKind = "api"
    auth: Literal["required", "optional", "public"] = "required"
    require: Requirements = Requirements()
    token: TokenKind = "none"
    audience: str = ""
    assertion_header: str = ""
    """The header that holds the assertion; "" for `Authorization: Bearer`."""
    exchange: ExchangeSettings = ExchangeSettings()
    accept_bearer: AcceptBearer = AcceptBearer()
    csrf: Literal["fetch", "header", "off"] = "fetch"
    service_workers: bool = False
    clear_storage_at_sign_out: bool = False
    cors_origins: tuple[str, ...] = ()
    ws_origins: tuple[str, ...] = ()
    identity_headers: HeaderPreset = "x-auth-request"
    claim_headers: dict[str, str] = {}
    groups_forwarded: tuple[str, ...] = ("*",)
    """Globs: the groups that are sent to upstreams. Rules of the front door see all groups."""
    forward_headers: Literal["all"] | tuple[str, ...] = "all"
    forward_cookies: Literal["all"] | tuple[str, ...] = "all"
    provider: str = ""
    no_slide: bool = False
    quiet_paths: tuple[QuietPath, ...] = ()
    """Paths at and below which requests do not count as use: what the application's pages ask by themselves."""
    timeouts: Timeouts = Timeouts()
    max_body_bytes: int = Field(10_485_760, ge=0)
    max_concurrency: int = Field(0, ge=0)
    security_headers: Literal["default", "off"] = "default"
    session_guard: Literal["on", "off"] = "on"
    kit: str = ""
    title: str = ""
    streamlit: StreamlitChild = StreamlitChild()

    @model_validator(mode="before")
    @classmethod
    def _defaults_that_depend(cls, raw: Any) -> Any:
        """A single upstream may be a bare string; Streamlit children are pages; pages take larger bodies."""
        if not isinstance(raw, dict):
            return raw
        table = dict(raw)
        if isinstance(table.get("upstream"), str):
            table["upstream"] = (table["upstream"],)
        targets = table.get("upstream")
        managed = isinstance(targets, list | tuple) and any(str(one).startswith("streamlit:") for one in targets)
        if managed:
            table.setdefault("kind", "page")
            table.setdefault("framework", "streamlit")
            table.setdefault("forward_cookies", ("_streamlit_*",))
            table.setdefault("forward_headers", STREAMLIT_HEADERS)
        if table.get("kind") == "page":
            table.setdefault("max_body_bytes", PAGE_BODY_BYTES)
        return table


STREAMLIT_HEADERS: tuple[str, ...] = (
    "accept",
    "accept-encoding",
    "accept-language",
    "cache-control",
    "content-type",
    "if-modified-since",
    "if-none-match",
    "origin",
    "range",
    "referer",
    "user-agent",
    "x-xsrftoken",
    "sec-websocket-*",
    "traceparent",
    "tracestate",
)
"""What a `streamlit:` upstream gets of the client's headers; page code can read all of them."""


class ForwardAuthSettings(Table):
    """Answers to proxies that ask whether a request may pass."""

    modes: tuple[ForwardAuthMode, ...] = ()
    bind: str = "127.0.0.1:8001"
    """The listener that answers `/auth/verify`, and nothing else. Only proxies may reach it."""
    head_bytes: int = Field(4000, ge=2000, le=65_536)
    """The longest head of an answer: nginx reads one page of memory (`proxy_buffer_size`) and fails on more."""


class LimitSettings(Table):
    """Limits per request, per client address and in total. Beyond one, the answer is 4xx or 503 and a log line."""

    url_bytes: int = Field(8192, ge=256)
    header_bytes: int = Field(32_768, ge=1024)
    header_count: int = Field(100, ge=10)
    cookie_count: int = Field(200, ge=5)
    header_timeout_seconds: Positive = 10
    connections_per_address: int = Field(1000, ge=1)
    pending_logins: int = Field(10_000, ge=1)
    pending_logins_per_address: int = Field(500, ge=1)
    login_seconds: Positive = 600
    """Lifetime of an unfinished sign-in."""
    websocket_client_message_bytes: int = Field(209_715_200, ge=1024)
    websocket_upstream_message_bytes: int = Field(209_715_200, ge=1024)
    websockets_per_session: int = Field(100, ge=1)


class LogSettings(Table):
    level: Literal["debug", "info", "warning", "error"] = "info"
    format: Literal["json", "console"] = "json"
    access: bool | Literal["refused"] = True


class OutgoingSettings(Table):
    """How this server reaches providers. The proxy variables of the environment are ignored."""

    proxy_url: SecretStr = SecretStr("")
    """`http://[user:password@]host:port` or `https://…`."""
    no_proxy: tuple[str, ...] = ()
    """Hosts and domains, addresses and networks that are called directly."""


class CompatSettings(Table):
    """Names of another program that go on working."""

    oauth2_proxy: bool = False
    oauth2_proxy_auth_status: Literal[200, 202] = 202
    """What `/oauth2/auth` answers to a person who may pass. Envoy takes only 200 for a yes."""


class Settings(BaseSettings):
    """The whole of `vestibule.toml`. Built by `bff.settings.loading.load_settings`, or in code by keyword."""

    model_config = SettingsConfigDict(
        frozen=True, extra="forbid", env_prefix="VESTIBULE_", env_nested_delimiter="__", case_sensitive=False
    )

    server: ServerSettings = ServerSettings()
    secrets: SecretSettings = SecretSettings()
    store: StoreSettings = StoreSettings()
    session: SessionSettings = SessionSettings()
    providers: dict[Name, ProviderSettings] = {}
    roles: dict[str, Requirements] = {}
    kit_clients: dict[Name, KitClientSettings] = {}
    routes: tuple[RouteSettings, ...] = ()
    forward_auth: ForwardAuthSettings = ForwardAuthSettings()
    limits: LimitSettings = LimitSettings()
    log: LogSettings = LogSettings()
    outgoing: OutgoingSettings = OutgoingSettings()
    compat: CompatSettings = CompatSettings()

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Keyword arguments only: `bff.settings.loading` merges file, environment and command line with reports."""
        return (init_settings,)

    @property
    def is_development(self) -> bool:
        return self.server.environment == "development"

    def route(self, route_id: str) -> RouteSettings | None:
        return next((route for route in self.routes if route.id == route_id), None)
