// The whole life of every resource through Scaleway's SDK, in every order and page, until every method of its IoT API has been called.
import readline from 'node:readline'
import { X509Certificate } from 'node:crypto'
import { api, assert, Errors, hubUnderTest, refused, withHub } from './hub-under-test.mjs'

const called = new Set()
const methods = Object.keys(api).filter((name) => typeof api[name] === 'function')
for (const name of methods) {
  const method = api[name]
  api[name] = (...given) => {
    called.add(name)
    return method(...given)
  }
}

const camel = (name) => name.replace(/_[a-z]/g, (part) => part[1].toUpperCase())
const ids = (list) => list.map((item) => item.id)

/** In every order, in pages of two: the same things, sorted, none twice. */
async function inEveryOrder(list, request, expected, keys, ranks = {}) {
  for (const key of keys) {
    const rank = (item) => (ranks[key] ? ranks[key].indexOf(item[camel(key)]) : item[camel(key)])
    for (const [direction, sign] of [['asc', 1], ['desc', -1]]) {
      const orderBy = `${key}_${direction}`
      const all = await list({ ...request, orderBy, pageSize: 2 }).all()
      assert.deepEqual(ids(all).sort(), [...expected].sort(), orderBy)
      for (let i = 1; i < all.length; i++) {
        const [one, next] = [rank(all[i - 1]), rank(all[i])]
        assert.ok(sign > 0 ? one <= next : one >= next, `${orderBy}: ${one} before ${next}`)
      }
      const second = Object.values(await list({ ...request, orderBy, pageSize: 2, page: 2 })).find(Array.isArray)
      assert.deepEqual(ids(second), ids(all.slice(2, 4)), `the second page of ${orderBy}`)
    }
  }
  const single = await list({ ...request, pageSize: 1 })
  assert.equal(single.totalCount, expected.length)
  assert.equal(Object.values(single).find(Array.isArray).length, 1)
}

const wait = (hubId) => api.waitForHub({ hubId }, { minDelay: 1, timeout: 30 })
const gone = (call, resource, resourceId) => refused(call, Errors.ResourceNotFoundError, { resource, resourceId })

async function hubs() {
  const mark = `life-${Date.now()}`
  const made = []
  for (const [name, productPlan] of [['b', 'plan_dedicated'], ['a', 'plan_shared'], ['c', 'plan_ha']]) {
    made.push(await api.createHub({ name: `${mark}-${name}`, productPlan, disableEvents: name === 'b' }))
  }
  await Promise.all(ids(made).map(wait))
  await api.disableHub({ hubId: made[1].id })
  assert.equal((await wait(made[1].id)).status, 'disabled')
  await inEveryOrder(api.listHubs, { name: mark }, ids(made), ['name', 'status', 'product_plan', 'created_at', 'updated_at'], {
    product_plan: ['plan_shared', 'plan_dedicated', 'plan_ha'],
  })
  const { projectId, organizationId } = hubUnderTest
  for (const scope of [{ projectId }, { organizationId }, { projectId, organizationId }]) {
    assert.equal((await api.listHubs({ name: mark, ...scope })).totalCount, 3)
  }
  assert.equal((await api.listHubs({ projectId: '00000000-0000-4000-8000-00000000dead' })).totalCount, 0)

  // A plan changes while the hub is disabled, and only then.
  const replanned = await api.updateHub({ hubId: made[1].id, productPlan: 'plan_dedicated' })
  assert.equal(replanned.productPlan, 'plan_dedicated')
  assert.equal(replanned.status, 'disabled')
  assert.equal((await api.enableHub({ hubId: made[1].id })).status, 'enabling')
  assert.equal((await api.enableHub({ hubId: made[1].id })).enabled, true)
  assert.equal((await wait(made[1].id)).status, 'ready')
  const pushUri = 'https://user:token@graphite.example/metrics'
  assert.deepEqual((await api.updateHub({ hubId: made[0].id, twinsGraphiteConfig: { pushUri } })).twinsGraphiteConfig, { pushUri })
  assert.deepEqual((await api.getHub({ hubId: made[0].id })).twinsGraphiteConfig, { pushUri })
  assert.deepEqual((await api.getHubMetrics({ hubId: made[0].id })).metrics.map((series) => series.name),
    ['messages_count', 'active_devices'])
  for (const { id } of made) {
    await api.deleteHub({ hubId: id })
    await gone(api.getHub({ hubId: id }), 'hub', id)
    await gone(api.disableHub({ hubId: id }), 'hub', id)
  }
  assert.equal((await api.listHubs({ name: mark })).totalCount, 0)
}

async function devices(hub, other) {
  const made = []
  for (const [name, allowInsecure] of [['b', true], ['a', false], ['d', false], ['c', true]]) {
    made.push((await api.createDevice({ hubId: hub.id, name, allowInsecure, description: `device ${name}` })).device)
  }
  await api.disableDevice({ deviceId: made[2].id })
  await inEveryOrder(api.listDevices, { hubId: hub.id }, ids(made),
    ['name', 'status', 'hub_id', 'created_at', 'updated_at', 'allow_insecure'])
  assert.deepEqual(ids((await api.listDevices({ hubId: hub.id, status: 'disabled', allowInsecure: false })).devices), [made[2].id])

  const [device] = made
  const moved = await api.updateDevice({ deviceId: device.id, hubId: `${hub.region}/${other.id}`, allowMultipleConnections: true })
  assert.equal(moved.hubId, other.id)
  assert.equal(moved.allowMultipleConnections, true)
  assert.equal((await api.getHub({ hubId: hub.id })).deviceCount, 3)
  assert.equal((await api.getHub({ hubId: other.id })).deviceCount, 1)
  assert.deepEqual(ids((await api.listDevices({ hubId: other.id })).devices), [device.id])
  assert.equal((await api.updateDevice({ deviceId: device.id, hubId: hub.id })).hubId, hub.id)

  const { certificatePem } = await api.getDeviceCertificate({ deviceId: made[1].id })
  await refused(api.setDeviceCertificate({ deviceId: device.id, certificatePem }), Errors.AlreadyExistsError,
    { resource: 'device', resourceId: made[1].id })
  await refused(api.setDeviceCertificate({ deviceId: device.id, certificatePem: 'no PEM' }), Errors.InvalidArgumentsError)
  const renewed = await api.renewDeviceCertificate({ deviceId: made[1].id })
  assert.equal((await api.setDeviceCertificate({ deviceId: device.id, certificatePem })).device.hasCustomCertificate, true)
  assert.equal((await api.getDeviceCertificate({ deviceId: made[1].id })).certificatePem, renewed.certificate.crt)
  assert.equal((await api.enableDevice({ deviceId: made[2].id })).status, 'enabled')
  assert.deepEqual((await api.getDeviceMetrics({ deviceId: device.id, startDate: new Date(Date.now() - 60_000) }))
    .metrics.map((series) => series.name), ['messages_count', 'device_activity'])

  await twins(device.id)
  for (const { id } of made) {
    await api.deleteDevice({ deviceId: id })
    for (const name of ['getDevice', 'enableDevice', 'getDeviceCertificate', 'renewDeviceCertificate', 'getDeviceMetrics']) {
      await gone(api[name]({ deviceId: id }), 'device', id)
    }
    await gone(api.listTwinDocuments({ twinId: id }), 'device', id)
  }
}

async function twins(twinId) {
  const document = { twinId, documentName: 'current' }
  assert.equal((await api.putTwinDocument({ ...document, data: { a: 1, b: { c: [1, 2] } } })).version, 1)
  assert.deepEqual((await api.patchTwinDocument({ ...document, version: 1, data: { b: { c: [3], d: 'x' } } })).data,
    { a: 1, b: { c: [3], d: 'x' } })
  await refused(api.patchTwinDocument({ ...document, version: 1, data: {} }), Errors.InvalidArgumentsError)
  await refused(api.patchTwinDocument({ ...document, data: { list: [null] } }), Errors.InvalidArgumentsError)
  await refused(api.putTwinDocument({ ...document, documentName: 'not a name', data: {} }), Errors.InvalidArgumentsError)
  await refused(api.putTwinDocument({ ...document, documentName: '_reserved', data: {} }), Errors.InvalidArgumentsError)
  assert.equal((await api.putTwinDocument({ twinId, documentName: '_config', data: { documents: {} } })).version, 1)
  assert.equal((await api.getTwinDocument(document)).version, 2)
  await api.deleteTwinDocument(document)
  await gone(api.getTwinDocument(document), 'twin_document', 'current')
  assert.deepEqual((await api.listTwinDocuments({ twinId })).documents, [{ documentName: '_config' }])
  await api.deleteTwinDocuments({ twinId })
}

async function networks(hub) {
  const made = []
  for (const [name, type] of [['b', 'rest'], ['a', 'sigfox'], ['c', 'rest']]) {
    made.push((await api.createNetwork({ hubId: hub.id, name, type, topicPrefix: name === 'c' ? 'at/c' : '' })).network)
  }
  await inEveryOrder(api.listNetworks, { hubId: hub.id }, ids(made), ['name', 'type', 'created_at'])
  assert.deepEqual(ids((await api.listNetworks({ hubId: hub.id, topicPrefix: 'at/c', name: 'c' })).networks), [made[2].id])
  for (const { id } of made) {
    assert.equal((await api.getNetwork({ networkId: id })).id, id)
    await api.deleteNetwork({ networkId: id })
    await gone(api.getNetwork({ networkId: id }), 'network', id)
    await gone(api.deleteNetwork({ networkId: id }), 'network', id)
  }
}

async function routes(hub) {
  const dbConfig = {
    engine: 'mysql', host: 'db.example', port: 3306, dbname: 'd', username: 'u', password: 'hush', query: 'INSERT INTO m VALUES ($PAYLOAD)',
  }
  const s3Config = { bucketRegion: 'fr-par', bucketName: 'bucket', objectPrefix: '', strategy: 'per_message' }
  const restConfig = { verb: 'post', uri: 'https://example.com/in', headers: {} }
  const made = []
  for (const [name, config] of [['b', { dbConfig }], ['c', { s3Config }], ['a', { restConfig }]]) {
    const route = await api.createRoute({ hubId: hub.id, name, topic: `t/${name}/#`, ...config })
    assert.deepEqual(route[Object.keys(config)[0]], Object.values(config)[0])
    made.push(route)
  }
  await inEveryOrder(api.listRoutes, { hubId: hub.id }, ids(made), ['name', 'hub_id', 'type', 'created_at'])

  const { dbConfig: changedDb } = await api.updateRoute({ routeId: made[0].id, dbConfig: { port: 3307, engine: 'unknown' } })
  assert.deepEqual(changedDb, { ...dbConfig, port: 3307, password: '' })
  assert.equal((await api.updateRoute({ routeId: made[0].id, dbConfig: { password: 'new' } })).dbConfig.password, 'new')
  assert.equal((await api.getRoute({ routeId: made[0].id })).dbConfig.password, '')
  assert.deepEqual((await api.updateRoute({ routeId: made[1].id, topic: '#', s3Config: { objectPrefix: 'p', strategy: 'per_topic' } })).s3Config,
    { ...s3Config, objectPrefix: 'p', strategy: 'per_topic' })
  assert.deepEqual((await api.updateRoute({ routeId: made[2].id, restConfig: { verb: 'put', headers: { 'X-Key': 'v' } } })).restConfig,
    { ...restConfig, verb: 'put', headers: { 'X-Key': 'v' } })
  await refused(api.updateRoute({ routeId: made[2].id, s3Config }), Errors.InvalidArgumentsError)
  for (const { id } of made) {
    await api.deleteRoute({ routeId: id })
    await gone(api.getRoute({ routeId: id }), 'route', id)
    await gone(api.updateRoute({ routeId: id, name: 'x' }), 'route', id)
  }
}

/** The test that started this script makes the authority, whose proof of possession names the hub. */
async function authority(hub) {
  const generated = (await api.getHubCA({ hubId: hub.id })).caCertPem
  const { device } = await api.createDevice({ hubId: hub.id, name: 'of-the-generated-ca' })
  console.log(JSON.stringify({ is: 'hub', id: hub.id }))
  const line = await readline.createInterface({ input: process.stdin })[Symbol.asyncIterator]().next()
  const { caCertPem, challengeCertPem } = JSON.parse(line.value)
  await refused(api.setHubCA({ hubId: hub.id, caCertPem, challengeCertPem: caCertPem }), Errors.InvalidArgumentsError)
  await refused(api.setHubCA({ hubId: hub.id, caCertPem: generated, challengeCertPem }), Errors.InvalidArgumentsError)
  assert.equal((await api.getHub({ hubId: hub.id })).hasCustomCa, false)
  assert.equal((await api.setHubCA({ hubId: hub.id, caCertPem, challengeCertPem })).hasCustomCa, true)
  const own = (await api.getHubCA({ hubId: hub.id })).caCertPem
  assert.equal(new X509Certificate(own).fingerprint256, new X509Certificate(caCertPem).fingerprint256)

  assert.equal((await api.getDeviceCertificate({ deviceId: device.id })).certificatePem, '')
  await refused(api.renewDeviceCertificate({ deviceId: device.id }), Errors.PreconditionFailedError)
  const without = await api.createDevice({ hubId: hub.id, name: 'of-the-own-ca' })
  assert.deepEqual(without.certificate, { crt: '', key: '' })
  assert.equal((await api.updateHub({ hubId: hub.id, enableDeviceAutoProvisioning: true })).enableDeviceAutoProvisioning, true)
}

await hubs()
await withHub({ productPlan: 'plan_dedicated' }, async (hub) => {
  await withHub({ productPlan: 'plan_dedicated' }, (other) => devices(hub, other))
  await networks(hub)
  await routes(hub)
  await authority(hub)
})
assert.deepEqual(methods.filter((name) => !called.has(name)), [], 'every method of the SDK was called')
assert.ok(methods.length >= 41, `${methods.length} methods`)
console.log(JSON.stringify({ is: 'done', methods: methods.length }))
process.exit(0)
