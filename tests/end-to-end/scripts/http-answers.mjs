// The bare answers: status, headers, field names and types as recorded, for what an SDK would hide.
import { assert, http, hubUnderTest, regional, unknownId, uuid } from './hub-under-test.mjs'

const timestamp = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z$/

async function answer(expectedStatus, response) {
  const text = await response.text()
  assert.equal(response.status, expectedStatus, text)
  assert.equal(response.headers.get('content-type'), 'application/json', `of ${response.url}`)
  assert.match(response.headers.get('x-request-id'), uuid)
  assert.equal(response.headers.get('x-content-type-options'), 'nosniff')
  assert.equal(response.headers.get('x-total-count'), null)
  if (expectedStatus === 204) {
    assert.equal(text, '')
    return undefined
  }
  assert.equal(Number(response.headers.get('content-length')), Buffer.byteLength(text))
  return JSON.parse(text)
}

const keys = (object, ...names) => assert.deepEqual(Object.keys(object).sort(), names.sort())

// Creation answers 200, with curl's usual content type and nulls for what is not set.
const form = { 'Content-Type': 'application/x-www-form-urlencoded' }
const hub = await answer(200, await http('POST', regional('/hubs'), {
  headers: form,
  body: { name: 'raw', project_id: hubUnderTest.projectId, product_plan: 'plan_unknown', disable_events: null, events_topic_prefix: null },
}))
keys(hub, 'connected_device_count', 'created_at', 'device_count', 'disable_events', 'enable_device_auto_provisioning', 'enabled', 'endpoint',
  'events_topic_prefix', 'has_custom_ca', 'id', 'name', 'organization_id', 'product_plan', 'project_id', 'region', 'status',
  'updated_at')
assert.equal(hub.product_plan, 'plan_shared')
assert.equal(hub.events_topic_prefix, '$SCW/events')
assert.match(hub.created_at, timestamp)
assert.equal(typeof hub.device_count, 'number')
let state = hub
while (state.status === 'enabling') {
  state = await answer(200, await http('GET', regional(`/hubs/${hub.id}`)))
}

const made = await answer(200, await http('POST', regional('/devices'), {
  body: {
    name: 'empty', hub_id: hub.id, allow_insecure: false, allow_multiple_connections: false, description: null,
    message_filters: { publish: { policy: 'reject', topics: null }, subscribe: { policy: 'reject', topics: null } },
  },
}))
keys(made, 'device', 'certificate')
keys(made.certificate, 'crt', 'key')
const { device } = made
keys(device, 'allow_insecure', 'allow_multiple_connections', 'created_at', 'description', 'has_custom_certificate', 'hub_id', 'id',
  'is_connected', 'last_activity_at', 'message_filters', 'name', 'region', 'status', 'updated_at')
assert.equal(device.last_activity_at, '1970-01-01T00:00:00Z')
assert.deepEqual(device.message_filters, { publish: { policy: 'reject', topics: [] }, subscribe: { policy: 'reject', topics: [] } })
assert.deepEqual(await answer(200, await http('GET', regional(`/devices?hub_id=${hub.id}&name=empty&order_by=name_asc&status=unknown`))),
  { devices: [device], total_count: 1 })
assert.equal((await answer(200, await http('GET', regional(`/devices?hub_id=${hub.id}&allow_insecure=False`)))).total_count, 1)

const made2 = await answer(200, await http('POST', regional('/networks'), {
  body: { name: 'default', type: 'rest', hub_id: hub.id, topic_prefix: '' },
}))
keys(made2, 'network', 'secret')
keys(made2.network, 'created_at', 'endpoint', 'hub_id', 'id', 'name', 'region', 'topic_prefix', 'type')
assert.deepEqual(await answer(200, await http('GET', regional(`/networks/${made2.network.id}`))), made2.network)

const route = await answer(200, await http('POST', regional('/routes'), {
  body: {
    name: 'default', hub_id: hub.id, topic: '#',
    rest_config: { verb: 'get', uri: 'http://scaleway.com', headers: { 'X-terraform-test': 'inprogress' } },
  },
}))
keys(route, 'created_at', 'hub_id', 'id', 'name', 'region', 'rest_config', 'topic', 'type', 'updated_at')
const summaries = await answer(200, await http('GET', regional(`/routes?hub_id=${hub.id}&order_by=name_asc`)))
keys(summaries.routes[0], 'created_at', 'hub_id', 'id', 'name', 'region', 'topic', 'type', 'updated_at')

// A PATCH that changes nothing answers 200 and moves updated_at.
const patched = await answer(200, await http('PATCH', regional(`/hubs/${hub.id}`), { body: { product_plan: 'plan_unknown' } }))
assert.equal(patched.product_plan, 'plan_shared')
assert.notEqual(patched.updated_at, hub.updated_at)

const errorOf = async (status, response, expected) => assert.deepEqual(await answer(status, response), expected)
await errorOf(404, await http('GET', regional(`/hubs/${unknownId}`)),
  { message: 'resource is not found', resource: 'hub', resource_id: unknownId, type: 'not_found' })
await errorOf(401, await http('GET', regional('/hubs'), { token: unknownId }),
  { message: 'authentication is denied', method: 'api_key', reason: 'not_found', type: 'denied_authentication' })
assert.equal((await answer(401, await http('GET', regional('/hubs'), { token: null }))).type, 'denied_authentication')
assert.equal((await answer(401, await http('GET', regional('/hubs'), { token: 'not a token' }))).reason, 'invalid_argument')
const broken = await answer(400, await http('POST', regional('/hubs'), { body: '{"name":' }))
assert.equal(broken.type, 'invalid_arguments')
keys(broken, 'details', 'message', 'type')
assert.equal((await answer(501, await http('GET', '/iot/v1/regions/nl-ams/hubs'))).message, 'unknown service')

await answer(204, await http('DELETE', regional(`/devices/${device.id}`)))
await answer(204, await http('DELETE', regional(`/routes/${route.id}`)))
await answer(204, await http('DELETE', regional(`/networks/${made2.network.id}`)))
await answer(204, await http('DELETE', regional(`/hubs/${hub.id}?delete_devices=true`)))
await answer(404, await http('GET', regional(`/hubs/${hub.id}`)))
console.log(JSON.stringify({ is: 'done' }))
