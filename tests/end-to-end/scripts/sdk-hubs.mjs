// Hubs through Scaleway's SDK: create, wait, read, list with paging, change, disable, enable, delete.
import { api, assert, Errors, hubUnderTest, refused, unknownId, uuid } from './hub-under-test.mjs'

const wait = (hubId) => api.waitForHub({ hubId }, { minDelay: 1, timeout: 30 })
const mark = `sdk-${Date.now()}`

const created = await api.createHub({ name: `${mark}-a`, productPlan: 'plan_shared' })
assert.match(created.id, uuid)
assert.equal(created.name, `${mark}-a`)
assert.equal(created.status, 'enabling')
assert.equal(created.enabled, true)
assert.equal(created.productPlan, 'plan_shared')
assert.equal(created.projectId, hubUnderTest.projectId)
assert.equal(created.organizationId, hubUnderTest.organizationId)
assert.equal(created.region, hubUnderTest.region)
assert.equal(created.disableEvents, false)
assert.equal(created.eventsTopicPrefix, '$SCW/events')
assert.equal(created.enableDeviceAutoProvisioning, false)
assert.equal(created.hasCustomCa, false)
assert.equal(created.deviceCount, 0)
assert.equal(created.connectedDeviceCount, 0)
assert.equal(created.twinsGraphiteConfig, undefined)
assert.ok(created.createdAt instanceof Date && Math.abs(created.createdAt - Date.now()) < 60_000)

const ready = await wait(created.id)
assert.equal(ready.status, 'ready')
assert.deepEqual(ready.updatedAt, created.updatedAt, 'becoming ready is not an update')

const other = await wait((await api.createHub({ name: `${mark}-b`, productPlan: 'plan_dedicated' })).id)
assert.equal(other.productPlan, 'plan_dedicated')

const listed = await api.listHubs({ name: mark, orderBy: 'name_desc' })
assert.deepEqual(listed.hubs.map((hub) => hub.name), [`${mark}-b`, `${mark}-a`])
assert.equal(listed.totalCount, 2)
const paged = await api.listHubs({ name: mark, pageSize: 1, orderBy: 'created_at_asc' }).all()
assert.deepEqual(paged.map((hub) => hub.id), [created.id, other.id])
assert.deepEqual((await api.listHubs({ name: mark, page: 7 })).hubs, [])

const changed = await api.updateHub({ hubId: created.id, name: `${mark}-c`, disableEvents: true, eventsTopicPrefix: 'my/events' })
assert.equal(changed.name, `${mark}-c`)
assert.equal(changed.disableEvents, true)
assert.equal(changed.eventsTopicPrefix, 'my/events')
assert.ok(changed.updatedAt > created.updatedAt)

const ca = await api.getHubCA({ hubId: created.id })
assert.match(ca.caCertPem, /^-----BEGIN CERTIFICATE-----\n/)

const disabling = await api.disableHub({ hubId: created.id })
assert.equal(disabling.enabled, false)
assert.equal(disabling.status, 'disabling')
assert.equal((await wait(created.id)).status, 'disabled')
assert.equal((await api.enableHub({ hubId: created.id })).status, 'enabling')
assert.equal((await wait(created.id)).status, 'ready')

await api.deleteHub({ hubId: created.id })
await refused(api.getHub({ hubId: created.id }), Errors.ResourceNotFoundError, { resource: 'hub', resourceId: created.id })
await refused(api.getHub({ hubId: unknownId }), Errors.ResourceNotFoundError, { resource: 'hub', resourceId: unknownId })

const device = await api.createDevice({ hubId: other.id, name: 'in-the-way' })
await refused(api.deleteHub({ hubId: other.id }), Errors.PreconditionFailedError, { precondition: 'resource_still_in_use' })
await api.deleteHub({ hubId: other.id, deleteDevices: true })
await refused(api.getDevice({ deviceId: device.device.id }), Errors.ResourceNotFoundError)
console.log(JSON.stringify({ is: 'done' }))
