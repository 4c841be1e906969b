// A system that gets a token by a JWT of its own, asks about it, uses it, ends it: by oauth4webapi or
// by openid-client. It reads on its standard input: library, issuer, client, key (a private JWK),
// resource and path, and where it speaks mutual TLS ca, certificate and private (PEM).
import https from 'node:https'
import { json as read } from 'node:stream/consumers'
import * as jose from 'jose'
import * as oauth from 'oauth4webapi'
import * as openid from 'openid-client'

const given = await read(process.stdin)
const { issuer, client: client_id, key: jwk, scope } = given

// What Node's own fetch cannot do: show a certificate of the client.
function showing(certificate) {
  const agent = new https.Agent({ ca: given.ca, ...certificate, keepAlive: false })
  return (url, { method, headers, body }) =>
    new Promise((answered, failed) => {
      const fields = Object.fromEntries(new Headers(headers))
      const request = https.request(url, { method, headers: fields, agent }, async (answer) => {
        const parts = []
        for await (const part of answer) parts.push(part)
        const { statusCode: status, headers: told } = answer
        const content = parts.length ? Buffer.concat(parts) : null
        answered(new Response(content, { status, headers: told }))
      })
      request.on('error', failed)
      request.end(body === undefined || body === null ? undefined : body.toString())
    })
}

const tls = given.ca !== undefined
const own = tls ? showing({ cert: given.certificate, key: given.private }) : fetch
const nobody = tls ? showing({}) : fetch

const key = {
  key: await jose.importJWK(jwk, jwk.alg),
  kid: jwk.kid,
}

function byOauth4webapi() {
  const options = { [oauth.customFetch]: own, [oauth.allowInsecureRequests]: !tls }
  const proof = () => oauth.PrivateKeyJwt(key)
  const client = { client_id }
  let server
  return {
    async discover() {
      const url = new URL(issuer)
      const answer = await oauth.discoveryRequest(url, { ...options, algorithm: 'oauth2' })
      server = await oauth.processDiscoveryResponse(url, answer)
      return server
    },
    async token() {
      const answer = await oauth.clientCredentialsGrantRequest(
        server, client, proof(), new URLSearchParams({ scope }), options)
      return oauth.processClientCredentialsResponse(server, client, answer)
    },
    async about(token) {
      const answer = await oauth.introspectionRequest(server, client, proof(), token, options)
      return oauth.processIntrospectionResponse(server, client, answer)
    },
    async end(token) {
      const answer = await oauth.revocationRequest(server, client, proof(), token, options)
      return oauth.processRevocationResponse(answer)
    },
  }
}

function byOpenidClient() {
  let config
  return {
    async discover() {
      config = await openid.discovery(new URL(issuer), client_id, undefined,
        openid.PrivateKeyJwt(key), {
          algorithm: 'oauth2',
          execute: tls ? [] : [openid.allowInsecureRequests],
          [openid.customFetch]: own,
        })
      return config.serverMetadata()
    },
    token: () => openid.clientCredentialsGrant(config, { scope }),
    about: (token) => openid.tokenIntrospection(config, token),
    end: (token) => openid.tokenRevocation(config, token),
  }
}

const system = given.library === 'oauth4webapi' ? byOauth4webapi() : byOpenidClient()
const opened = async (by, token) => {
  const headers = { authorization: `Bearer ${token}` }
  return (await by(`${issuer}${given.path}`, { method: 'GET', headers })).status
}

const server = await system.discover()
const token = await system.token()
const about = await system.about(token.access_token)
const used = await opened(own, token.access_token)
const stolen = await opened(nobody, token.access_token)
await system.end(token.access_token)
const over = await system.about(token.access_token)
const ended = await opened(own, token.access_token)
console.log(JSON.stringify({
  issuer: server.issuer,
  token: { ...token, access_token: token.access_token.length },
  about, used, stolen, over, ended,
}))
