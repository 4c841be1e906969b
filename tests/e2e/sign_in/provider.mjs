// An identity provider where people sign in, by oidc-provider, with its own pages for development:
// whoever gives a name is that person. Its settings are JSON in PROVIDER_SETTINGS: port, clients, jwks.
import http from 'node:http'
import Provider from 'oidc-provider'

const { port, clients, jwks } = JSON.parse(process.env.PROVIDER_SETTINGS)
const server = http.createServer()
await new Promise((listening) => server.listen(port, '127.0.0.1', listening))
const issuer = `http://127.0.0.1:${server.address().port}`

const provider = new Provider(issuer, {
  clients,
  jwks,
  clientAuthMethods: ['private_key_jwt', 'client_secret_basic'],
  enabledJWA: {
    idTokenSigningAlgValues: ['ES384', 'RS256'],
    clientAuthSigningAlgValues: ['ES384', 'ES256'],
  },
  pkce: { required: () => true },
  cookies: { keys: ['a key of a test'] },
})
server.on('request', provider.callback())
console.log(issuer)
process.on('SIGTERM', () => server.closeAllConnections() ?? process.exit(0))
