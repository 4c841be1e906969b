// An issuer of tokens for machines, by oidc-provider. Its settings are JSON in ISSUER_SETTINGS:
// port, resource, format ("jwt" or "opaque"), lifetime, clients and jwks as oidc-provider has them.
// It binds a token to the certificate in the header X-Test-Certificate, as if TLS had shown it.
import http from 'node:http'
import Provider from 'oidc-provider'

const { resource, format, lifetime, clients, jwks, port } = JSON.parse(process.env.ISSUER_SETTINGS)

const SCOPES = 'system/Claim.cu system/ClaimResponse.rs system/Task.rs'
const server = http.createServer()
await new Promise((listening) => server.listen(port, '127.0.0.1', listening))
const issuer = `http://127.0.0.1:${server.address().port}`

const provider = new Provider(issuer, {
  clients,
  jwks,
  scopes: SCOPES.split(' '),
  clientDefaults: { id_token_signed_response_alg: 'ES384' },
  enabledJWA: {
    idTokenSigningAlgValues: ['ES384'],
    clientAuthSigningAlgValues: ['ES384', 'RS384', 'ES256', 'RS256'],
  },
  clientAuthMethods: ['private_key_jwt'],
  features: {
    devInteractions: { enabled: false },
    clientCredentials: { enabled: true },
    mTLS: {
      enabled: true,
      certificateBoundAccessTokens: true,
      getCertificate: (ctx) => decodeURIComponent(ctx.get('x-test-certificate')) || undefined,
    },
    introspection: { enabled: true, allowedPolicy: async () => true },
    revocation: { enabled: true, allowedPolicy: async () => true },
    resourceIndicators: {
      enabled: true,
      defaultResource: async () => resource,
      useGrantedResource: async () => true,
      getResourceServerInfo: async (ctx, indicator) => ({
        scope: SCOPES,
        audience: indicator,
        accessTokenTTL: lifetime,
        accessTokenFormat: format,
        jwt: { sign: { alg: 'ES384' } },
      }),
    },
  },
})
server.on('request', provider.callback())
console.log(issuer)
process.on('SIGTERM', () => server.closeAllConnections() ?? process.exit(0))
