"""Options of the identity provider that every product has: issuer, client, scopes, endpoints, claims, checks."""

from __future__ import annotations

from typing import Final
from urllib.parse import SplitResult, urlsplit

from bff.oidc.authorization import OWN_PARAMETERS
from bff.oidc.urls import is_loopback
from bff.settings.profiles import PROFILES, profile_of_issuer
from gateway.cli.migrate.draft import Draft
from gateway.cli.migrate.options import Given, Instead, Option, Outcome, Safer, Taken, none_if_on, unsafe_if_on
from gateway.faults import UsageFault

CLIENT_SECRET: Final = "client-secret"
CLIENT_KEY: Final = "client-key.pem"
_ALGORITHMS: Final = ("RS256", "PS256", "ES256", "EdDSA")
_DISCOVERED: Final = Instead("All endpoints come from the provider's discovery document, below `issuer`")


def settle_provider(draft: Draft) -> None:
    """Set what holds whether an option says so or not: profile, issuer, and the method of client authentication.

    Raises:
        UsageFault: the configuration does not say who the provider or the client is.
    """
    provider = draft.provider
    issuer = issuer_of(draft)
    profile = draft.product.profile or profile_of_issuer(issuer)
    kept = {**({"profile": profile} if profile else {}), "issuer": issuer, **provider}
    provider.clear()
    provider.update(kept)
    if "client_id" not in provider:
        raise UsageFault("client_id is missing; name the file, or use --env if it is in a variable")
    if provider.get("client_auth") != "private_key_jwt" and "client_secret_file" not in provider:
        draft.secrets[CLIENT_SECRET] = ""
        provider["client_secret_file"] = f"secrets/{CLIENT_SECRET}"
    if draft.product.is_silent_on_email and "email_verified" not in provider:
        provider["email_verified"] = "assume"
        draft.steps.append(
            f"Look at providers.{draft.product.name}.email_verified: this provider never says whether an address is "
            "verified, so every address counts, as it did. With guests of other organisations use other rules"
        )
    if draft.product.kind == "google":
        provider.setdefault("authorization_parameters", {})["access_type"] = "offline"


def issuer_of(draft: Draft) -> str:
    """Return the issuer: what `oidc_issuer_url` says, or what the product implies.

    Raises:
        UsageFault: it is not known, or it means many tenants.
    """
    if draft.is_for("google"):
        return draft.product.issuer  # oauth2-proxy ignores another one too
    issuer = draft.text("oidc_issuer_url") or _implied_issuer(draft)
    if not issuer:
        raise UsageFault(f"oidc_issuer_url is missing, and the provider {draft.product.kind} needs it")
    if draft.is_for("azure", "entra-id") and _is_for_many_tenants(issuer):
        tenants = draft.items("entra_id_allowed_tenants")
        if len(tenants) != 1:
            raise UsageFault(
                f"the issuer {issuer} means many tenants, and an ID token must name one issuer exactly; write "
                "oidc_issuer_url with the id of your tenant, as in https://login.microsoftonline.com/TENANT/v2.0; "
                "several tenants are several tables [providers.NAME]"
            )
        return f"https://login.microsoftonline.com/{tenants[0]}/v2.0"
    return issuer


def _implied_issuer(draft: Draft) -> str:
    if draft.is_for("azure", "entra-id"):
        tenant = draft.text("azure_tenant") or "common"
        return f"https://login.microsoftonline.com/{tenant}/v2.0"
    login = draft.text("login_url")
    realm, found, _ = login.partition("/protocol/openid-connect/")
    if draft.is_for("keycloak") and found:
        return realm
    url = urlsplit(login)
    return f"https://{url.netloc}/" if draft.is_for("login.gov") and url.netloc else draft.product.issuer


def _is_for_many_tenants(issuer: str) -> bool:
    return urlsplit(issuer).path.strip("/").split("/")[0] in {"common", "organizations", "consumers"}


def _is_to_come(given: Given, text: str, draft: Draft) -> bool:
    """True if a secret is not there, or in a variable that nobody set here."""
    return not text or given.option.name in draft.missing


def _provider(given: Given, draft: Draft) -> Outcome:
    return Taken(f"the table providers.{draft.product.name}")


def _issuer(given: Given, draft: Draft) -> Outcome:
    issuer = issuer_of(draft)
    if draft.is_for("google") and issuer != given.text:
        return Instead(
            f"Has no effect: the issuer of the provider google is {issuer}, in oauth2-proxy too", is_open=True
        )
    if issuer != given.text:
        draft.put(given, "provider.issuer", issuer)
        return Safer(f'providers.{draft.product.name}.issuer = "{issuer}": one tenant, not all of them')
    return draft.put(given, "provider.issuer", issuer)


def _client_id(given: Given, draft: Draft) -> Outcome:
    return draft.put(given, "provider.client_id", given.text)


def _client_secret(given: Given, draft: Draft) -> Outcome:
    if _is_to_come(given, given.text, draft):
        return _secret_to_come(given, draft)
    return draft.put_secret(given, "provider.client_secret", given.text, file=CLIENT_SECRET)


def _client_secret_file(given: Given, draft: Draft) -> Outcome:
    if draft.text("client_secret"):
        return Taken("client_secret is given too, and counts")
    try:
        text = draft.place(given.text).read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError):
        return _secret_to_come(given, draft)
    return draft.put_secret(given, "provider.client_secret", text, file=CLIENT_SECRET)


def _secret_to_come(given: Given, draft: Draft) -> Outcome:
    draft.put_secret(given, "provider.client_secret", "", file=CLIENT_SECRET)
    return Instead(f"The secret cannot be read here: put it into secrets/{CLIENT_SECRET}", is_open=True)


def _scope(given: Given, draft: Draft) -> Outcome:
    asked = given.text.split()
    return draft.put(given, "provider.scopes", asked if "openid" in asked else ["openid", *asked])


def _display_name(given: Given, draft: Draft) -> Outcome:
    return draft.put(given, "provider.display_name", given.text)


def _groups_claim(given: Given, draft: Draft) -> Outcome:
    return draft.put(given, "provider.groups_claim", given.text)


def _email_claim(given: Given, draft: Draft) -> Outcome:
    if given.text == "email":
        return Taken("the address is always the claim `email`")
    return Instead(
        f"The address is always the claim `email`: let the provider send it there. {given.text} can reach an "
        "application by claim_headers, and a rule by require = { claims = { … } }",
        is_open=True,
    )


def _extra_audiences(given: Given, draft: Draft) -> Outcome:
    return draft.put(given, "provider.trusted_audiences", list(given.items))


def _audience_claims(given: Given, draft: Draft) -> Outcome:
    if given.items == ("aud",):
        return Taken("the audience is always read from `aud`")
    return Safer("The audience is read only from `aud`, as OpenID Connect demands")


def _algorithms(given: Given, draft: Draft) -> Outcome:
    known = [one for one in _ALGORITHMS if one in given.items]
    if not known:
        return Safer(
            f"None of {', '.join(given.items)} is accepted. RS256 is expected; id_token_alg can be "
            f"{', '.join(_ALGORITHMS[1:])}",
            is_open=True,
        )
    return draft.put(given, "provider.id_token_alg", known[0])


def _response_mode(given: Given, draft: Draft) -> Outcome:
    if given.text not in ("query", "form_post"):
        return Instead("`query` and `form_post` are possible; `query` is used")
    return draft.put(given, "provider.response_mode", given.text)


def _prompt(given: Given, draft: Draft) -> Outcome:
    return _parameter(given, draft, "prompt")


def _resource(given: Given, draft: Draft) -> Outcome:
    if draft.is_for("azure", "entra-id") and "/v2.0" in issuer_of(draft):
        return Instead(f'Entra ID has scopes in its place: add "{given.text}/.default" to scopes', is_open=True)
    return _parameter(given, draft, "resource")


def _parameter(given: Given, draft: Draft, name: str) -> Outcome:
    parameters = {**draft.provider.get("authorization_parameters", {}), name: given.text}
    return draft.put(given, "provider.authorization_parameters", parameters)


def _login_parameter(given: Given, draft: Draft) -> Outcome:
    """One parameter of the authorization request in the alpha configuration: a fixed value is taken over."""
    name, values = given.word("name"), given.rows("default")
    if name == "approval_prompt":
        return Instead("Not sent: `prompt` has replaced it")
    if not name or given.rows("allow") or len(values) != 1:
        return Instead(
            f"{name}: a link can say prompt, login_hint, max_age and ui_locales at /auth/login, and nothing else; "
            "authorization_parameters sends a fixed value"
        )
    if name == "acr_values":
        draft.rules.always["acr_any"] = str(values[0]).split()
        return Taken("routes.require.acr_any: asked for, and also checked in the ID token")
    if name in OWN_PARAMETERS:
        return Instead(f"{name} is set by the protocol itself")
    parameters = {**draft.provider.get("authorization_parameters", {}), name: str(values[0])}
    return draft.put(given, "provider.authorization_parameters", parameters)


def _acr_values(given: Given, draft: Draft) -> Outcome:
    draft.rules.always["acr_any"] = given.text.split()
    return Taken("routes.require.acr_any: asked for, and also checked in the ID token")


def _challenge(given: Given, draft: Draft) -> Outcome:
    if given.text == "S256":
        return Taken("PKCE with S256 is always used")
    return Safer("PKCE is always used, with S256; `plain` protects nothing")


def _endpoint(given: Given, draft: Draft) -> Outcome:
    """An endpoint on another host than the issuer's has to be allowed; one in plain text has not."""
    url = urlsplit(given.text)
    if not url.hostname or url.hostname == urlsplit(issuer_of(draft)).hostname or _is_allowed(url, draft):
        return _DISCOVERED
    if url.scheme != "https" and not is_loopback(url):
        return Instead(
            f"{_DISCOVERED.says}. If this server reaches the provider by another address than browsers, set "
            "backchannel_url; it must be https",
            is_open=True,
        )
    hosts = [*draft.provider.get("allowed_hosts", []), url.hostname]
    return draft.put(given, "provider.allowed_hosts", list(dict.fromkeys(hosts)))


def _is_allowed(url: SplitResult, draft: Draft) -> bool:
    profile = draft.product.profile or profile_of_issuer(issuer_of(draft))
    return url.hostname in PROFILES.get(profile, {}).get("allowed_hosts", ())


def _ca_files(given: Given, draft: Draft) -> Outcome:
    if len(given.items) == 1:
        return draft.put(given, "provider.ca_file", str(draft.place(given.items[0]).absolute()))
    return Instead("ca_file names one file: join the certificates in it", is_open=True)


def _unverified_email(given: Given, draft: Draft) -> Outcome:
    if not given.is_on:
        return Taken("an address never counts if the provider says that it is not verified")
    draft.put(given, "provider.email_verified", "assume")
    return Safer(
        f'providers.{draft.product.name}.email_verified = "assume": an address counts if the provider says nothing '
        "about it, but never if it says that it is not verified"
    )


def _key_of_client(given: Given, draft: Draft) -> Outcome:
    if not draft.is_for("login.gov"):
        return Instead("Only for login.gov, which is not in use here")
    draft.provider |= {"client_auth": "private_key_jwt", "client_key_alg": "RS256"}
    text = given.text
    if given.option.name == "jwt_key_file":
        try:
            text = draft.place(given.text).read_text(encoding="utf-8").strip()
        except (OSError, UnicodeDecodeError):
            text = ""
    if _is_to_come(given, text, draft):
        draft.put_secret(given, "provider.client_key", "", file=CLIENT_KEY)
        return Instead(f"The key cannot be read here: put it into secrets/{CLIENT_KEY}", is_open=True)
    return draft.put_secret(given, "provider.client_key", text, file=CLIENT_KEY)


_CERTIFICATES: Final = "Certificates are always checked; ca_file names an authority of your own"
OPTIONS: Final = (
    Option("provider", Taken("The table `[providers.NAME]`, with a `profile` where the product has one"), _provider,
           alpha=("providers.provider",)),
    Option("oidc-issuer-url", Taken("`providers.*.issuer`"), _issuer, alpha=("providers.oidcConfig.issuerURL",)),
    Option("client-id", Taken("`providers.*.client_id`"), _client_id, alpha=("providers.clientID",)),
    Option("client-secret", Taken("`providers.*.client_secret_file`, a new file with mode 600"), _client_secret,
           alpha=("providers.clientSecret",)),
    Option("client-secret-file", Taken("`providers.*.client_secret_file`, a new file with mode 600"),
           _client_secret_file, alpha=("providers.clientSecretFile",)),
    Option("scope", Taken("`providers.*.scopes`; `openid` is added if it is missing"), _scope,
           alpha=("providers.scope",)),
    Option("provider-display-name", Taken("`providers.*.display_name`"), _display_name, alpha=("providers.name",)),
    Option("oidc-groups-claim", Taken("`providers.*.groups_claim`"), _groups_claim,
           alpha=("providers.oidcConfig.groupsClaim",)),
    Option("oidc-email-claim", Instead("The address is always the claim `email`"), _email_claim,
           alpha=("providers.oidcConfig.emailClaim",)),
    Option("user-id-claim", Instead("The person is always `sub`; the address is always the claim `email`"),
           _email_claim, alpha=("providers.oidcConfig.userIDClaim",)),
    Option("oidc-extra-audience", Taken("`providers.*.trusted_audiences`: `client_id` must be there too"),
           _extra_audiences, "list", key="oidc_extra_audiences", alpha=("providers.oidcConfig.extraAudiences",)),
    Option("oidc-audience-claim", Safer("The audience is read only from `aud`"), _audience_claims, "list",
           key="oidc_audience_claims", alpha=("providers.oidcConfig.audienceClaims",)),
    Option("oidc-enabled-signing-alg", Taken("`providers.*.id_token_alg`: exactly one, never HS256"), _algorithms,
           "list", key="oidc_enabled_signing_algs", alpha=("providers.oidcConfig.enabledSigningAlgs",)),
    Option("auth-request-response-mode", Taken("`providers.*.response_mode`"), _response_mode,
           alpha=("providers.authRequestResponseMode",)),
    Option("prompt", Taken("`providers.*.authorization_parameters`"), _prompt),
    Option("approval-prompt", Instead("Not sent: `prompt` has replaced it")),
    Option("resource", Taken("`providers.*.authorization_parameters`"), _resource, alpha=("providers.resource",)),
    Option("acr-values", Taken("`routes.require.acr_any`: asked for, and also checked"), _acr_values),
    Option("code-challenge-method", Taken("PKCE with S256 is always used"), _challenge,
           alpha=("providers.code_challenge_method",)),
    Option("force-code-challenge-method", Taken("PKCE with S256 is always used"), _challenge),
    Option("skip-oidc-discovery", _DISCOVERED, none_if_on(_DISCOVERED.says, as_before="discovery is always used"),
           "flag", alpha=("providers.oidcConfig.skipDiscovery",)),
    Option("login-url", _DISCOVERED, _endpoint, alpha=("providers.loginURL",)),
    Option("redeem-url", _DISCOVERED, _endpoint, alpha=("providers.redeemURL",)),
    Option("profile-url", _DISCOVERED, _endpoint, alpha=("providers.profileURL",)),
    Option("validate-url", Instead("No endpoint is asked whether a token is valid: signature, issuer, audience and "
                                   "times are checked here"), alpha=("providers.validateURL",)),
    Option("oidc-jwks-url", _DISCOVERED, _endpoint, alpha=("providers.oidcConfig.jwksURL",)),
    Option("oidc-public-key-file", Instead("The keys come from the provider, so that it can change them"), None,
           "list", key="oidc_public_key_files", alpha=("providers.oidcConfig.publicKeyFiles",)),
    Option("skip-claims-from-profile-url", Taken('`providers.*.userinfo = "never"`'),
           lambda given, draft: draft.put(given, "provider.userinfo", "never" if given.is_on else "always"), "flag",
           alpha=("providers.skipClaimsFromProfileURL",)),
    Option("backend-logout-url", Instead("Signing out goes to the provider's `end_session_endpoint`; the provider "
                                         "can end sessions here by back-channel logout"),
           alpha=("providers.backendLogoutURL",)),
    Option("provider-ca-file", Taken("`providers.*.ca_file`"), _ca_files, "list", key="provider_ca_files",
           alpha=("providers.caFiles",)),
    Option("use-system-trust-store", Instead("With `ca_file` only that authority is trusted, else those of the "
                                             "system"), None, "flag", alpha=("providers.useSystemTrustStore",)),
    Option("ssl-insecure-skip-verify", Safer(_CERTIFICATES),
           unsafe_if_on(_CERTIFICATES, as_before="certificates are always checked"), "flag"),
    Option("insecure-oidc-allow-unverified-email", Safer('`email_verified = "assume"`: counts only where the provider '
                                                         "says nothing"), _unverified_email, "flag",
           alpha=("providers.oidcConfig.insecureAllowUnverifiedEmail",)),
    Option("insecure-oidc-skip-issuer-verification", Safer("The issuer must be equal, to the last slash"),
           unsafe_if_on("The issuer must be equal, to the last slash", as_before="the issuer is always checked"),
           "flag", alpha=("providers.oidcConfig.insecureSkipIssuerVerification",)),
    Option("insecure-oidc-skip-nonce", Safer("The nonce is always checked"),
           unsafe_if_on("The nonce is always checked", as_before="the nonce is always checked"), "flag",
           alpha=("providers.oidcConfig.insecureSkipNonce",)),
    Option("jwt-key", Taken("login.gov: `providers.*.client_key_file`, a new file with mode 600"), _key_of_client,
           alpha=("providers.loginGovConfig.jwtKey",)),
    Option("jwt-key-file", Taken("login.gov: `providers.*.client_key_file`, a new file with mode 600"), _key_of_client,
           alpha=("providers.loginGovConfig.jwtKeyFile",)),
    Option("pubjwk-url", Instead("Not needed: the provider has the public key of the client"),
           alpha=("providers.loginGovConfig.pubjwkURL",)),
    Option("", Instead("Every claim of the ID token and of userinfo is kept"), None, "list",
           alpha=("providers.additionalClaims",)),
    Option("", Taken("`providers.*.authorization_parameters` for a fixed value; a person's own choice is not passed "
                     "on, but for `prompt`, `login_hint`, `max_age` and `ui_locales` at `/auth/login`"),
           _login_parameter, "table", alpha=("providers.loginURLParameters",)),
    Option("", Instead("There is one provider, and its name is the one of its table"), alpha=("providers.id",)),
)  # fmt: skip
