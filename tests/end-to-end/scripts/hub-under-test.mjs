// What the scripts that use Scaleway's SDK share: the API of the hub named in the first argument, and what to expect of it.
import assert from 'node:assert/strict'
import { createClient, Errors, Iotv1 } from '../../harness/node/clients.mjs'

export { assert, Errors }
export const hubUnderTest = JSON.parse(process.argv[2])
export const unknownId = '00000000-0000-4000-8000-00000000dead'
export const uuid = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/

export const apiWith = (settings) => new Iotv1.API(createClient({
  apiURL: hubUnderTest.apiUrl,
  accessKey: hubUnderTest.accessKey,
  secretKey: hubUnderTest.secretKey,
  defaultProjectId: hubUnderTest.projectId,
  defaultRegion: hubUnderTest.region,
  ...settings,
}))

export const api = apiWith({})

/** A ready hub for the time of one piece of work. */
export async function withHub(settings, work) {
  const created = await api.createHub({ productPlan: 'plan_shared', ...settings })
  const hub = await api.waitForHub({ hubId: created.id }, { minDelay: 1, timeout: 30 })
  try {
    assert.equal(hub.status, 'ready')
    return await work(hub)
  } finally {
    await api.deleteHub({ hubId: hub.id, deleteDevices: true })
  }
}

/** The SDK must raise exactly this class, with these properties. */
export async function refused(call, kind, properties = {}) {
  const error = await call.then(
    (answer) => assert.fail(`expected ${kind.name}, got ${JSON.stringify(answer)}`), (caught) => caught)
  assert.equal(error.constructor, kind, `expected ${kind.name}, got ${error.name}: ${error.message} ${JSON.stringify(error.body)}`)
  for (const [name, value] of Object.entries(properties)) {
    assert.deepEqual(error[name], value, `${kind.name}.${name}`)
  }
  return error
}

/** A bare HTTP request, with nothing of the SDK in between. */
export const http = (method, path, { body, headers, token = hubUnderTest.secretKey } = {}) =>
  fetch(`${hubUnderTest.apiUrl}${path}`, {
    method,
    headers: { ...(token === null ? {} : { 'X-Auth-Token': token }), ...headers },
    body: body === undefined ? undefined : typeof body === 'string' ? body : JSON.stringify(body),
  })

export const regional = (path) => `/iot/v1/regions/${hubUnderTest.region}${path}`
