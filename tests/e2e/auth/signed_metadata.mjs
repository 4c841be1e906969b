// The signed metadata of a UDAP server, looked at by jose alone. It reads on its standard input: base.
import { X509Certificate } from 'node:crypto'
import { json as read } from 'node:stream/consumers'
import * as jose from 'jose'

const { base } = await read(process.stdin)
const told = await (await fetch(`${base}/.well-known/udap`)).json()
const { alg, x5c } = jose.decodeProtectedHeader(told.signed_metadata)
const leaf = new X509Certificate(Buffer.from(x5c[0], 'base64'))
const key = await jose.importX509(leaf.toString(), alg)
const { payload } = await jose.jwtVerify(told.signed_metadata, key, { issuer: base, subject: base })
console.log(JSON.stringify({
  alg,
  names: leaf.subjectAltName,
  same: payload.token_endpoint === told.token_endpoint
    && payload.registration_endpoint === told.registration_endpoint,
  days: (payload.exp - payload.iat) / 86400,
}))
