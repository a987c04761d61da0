"""An MCP server with the authorization server of the official Python SDK: its routes, unmodified, around the smallest
provider that they take. Whoever asks is signed in."""

import secrets
import sys
import time

from mcp.server.auth.provider import AccessToken, AuthorizationCode, RefreshToken, construct_redirect_uri
from mcp.server.auth.settings import AuthSettings, ClientRegistrationOptions, RevocationOptions
from mcp.server.mcpserver import MCPServer
from mcp.shared.auth import OAuthToken

PORT = int(sys.argv[1])
LIFETIME = int(sys.argv[2])
ORIGIN = f"http://localhost:{PORT}"


class Provider:
    def __init__(self):
        self.clients, self.codes, self.access, self.refresh = {}, {}, {}, {}

    async def get_client(self, client_id):
        return self.clients.get(client_id)

    async def register_client(self, client):
        self.clients[client.client_id] = client

    async def authorize(self, client, params):
        code = secrets.token_urlsafe(32)
        self.codes[code] = AuthorizationCode(
            code=code,
            client_id=client.client_id,
            expires_at=time.time() + 60,
            scopes=params.scopes or ["user"],
            code_challenge=params.code_challenge,
            redirect_uri=params.redirect_uri,
            redirect_uri_provided_explicitly=params.redirect_uri_provided_explicitly,
            resource=params.resource,
        )
        return construct_redirect_uri(str(params.redirect_uri), code=code, state=params.state)

    async def load_authorization_code(self, client, code):
        return self.codes.get(code)

    async def exchange_authorization_code(self, client, code):
        del self.codes[code.code]
        return self.issue(client, code.scopes, code.resource)

    async def load_refresh_token(self, client, token):
        return self.refresh.get(token)

    async def exchange_refresh_token(self, client, token, scopes):
        del self.refresh[token.token]
        print("REFRESHED", flush=True)
        return self.issue(client, scopes, f"{ORIGIN}/mcp")

    def issue(self, client, scopes, resource):
        access, refresh = secrets.token_urlsafe(32), secrets.token_urlsafe(32)
        self.access[access] = AccessToken(
            token=access, client_id=client.client_id, scopes=scopes, expires_at=int(time.time()) + LIFETIME, resource=resource
        )
        self.refresh[refresh] = RefreshToken(token=refresh, client_id=client.client_id, scopes=scopes)
        return OAuthToken(
            access_token=access, token_type="Bearer", expires_in=LIFETIME, scope=" ".join(scopes), refresh_token=refresh
        )

    async def load_access_token(self, token):
        return self.access.get(token)

    async def revoke_token(self, token):
        print("REVOKED", flush=True)
        self.access.pop(token.token, None)
        self.refresh.pop(token.token, None)


server = MCPServer(
    name="python",
    auth_server_provider=Provider(),
    auth=AuthSettings(
        issuer_url=ORIGIN,
        resource_server_url=f"{ORIGIN}/mcp",
        validate_token_resource=True,
        required_scopes=["user"],
        client_registration_options=ClientRegistrationOptions(enabled=True, valid_scopes=["user"], default_scopes=["user"]),
        revocation_options=RevocationOptions(enabled=True),
    ),
)


@server.tool()
def greet(name: str) -> str:
    """Greets."""
    return f"Hello, {name}!"


print(f"MCP URL: {ORIGIN}/mcp", flush=True)
server.run(transport="streamable-http", host="127.0.0.1", port=PORT)
