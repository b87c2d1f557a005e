// Devices through Scaleway's SDK: certificate and key come once, filters, disable, renew, own certificate, delete.
import { createPrivateKey, X509Certificate } from 'node:crypto'
import { api, assert, Errors, refused, unknownId, uuid, withHub } from './hub-under-test.mjs'

await withHub({}, async (hub) => {
  const { device, certificate } = await api.createDevice({ hubId: hub.id, name: 'default-1' })
  assert.match(device.id, uuid)
  assert.equal(device.name, 'default-1')
  assert.equal(device.hubId, hub.id)
  assert.equal(device.status, 'enabled')
  assert.equal(device.description, '')
  assert.equal(device.allowInsecure, false)
  assert.equal(device.allowMultipleConnections, false)
  assert.equal(device.hasCustomCertificate, false)
  assert.equal(device.isConnected, false)
  assert.equal(device.lastActivityAt.getTime(), 0)
  assert.deepEqual(device.messageFilters, {
    publish: { policy: 'reject', topics: [] }, subscribe: { policy: 'reject', topics: [] },
  })

  const crt = new X509Certificate(certificate.crt)
  assert.match(certificate.key, /^-----BEGIN RSA PRIVATE KEY-----\n[^]*\n$/)
  assert.match(certificate.crt, /\n$/)
  assert.ok(crt.checkPrivateKey(createPrivateKey(certificate.key)), 'the key belongs to the certificate')
  assert.match(crt.subject, /CN=default-1/)
  const authority = new X509Certificate((await api.getHubCA({ hubId: hub.id })).caCertPem)
  assert.ok(crt.verify(authority.publicKey), "the hub's authority signed it")

  const read = await api.getDeviceCertificate({ deviceId: device.id })
  assert.equal(read.certificatePem, certificate.crt)
  assert.equal('key' in read, false)
  assert.deepEqual(await api.getDevice({ deviceId: device.id }), device)
  assert.equal((await api.getHub({ hubId: hub.id })).deviceCount, 1)
  await refused(api.createDevice({ hubId: hub.id, name: 'default-1' }), Errors.AlreadyExistsError,
    { resource: 'device', resourceId: device.id })

  const messageFilters = {
    publish: { policy: 'reject', topics: ['1', '2', '3'] }, subscribe: { policy: 'accept', topics: ['4', '5', '6'] },
  }
  const changed = await api.updateDevice({ deviceId: device.id, allowInsecure: true, description: 'by the door', messageFilters })
  assert.equal(changed.allowInsecure, true)
  assert.equal(changed.description, 'by the door')
  assert.deepEqual(changed.messageFilters, messageFilters)
  assert.ok(changed.updatedAt > device.updatedAt)
  const half = await api.updateDevice({ deviceId: device.id, messageFilters: { subscribe: { policy: 'reject', topics: [] } } })
  assert.deepEqual(half.messageFilters, { publish: messageFilters.publish, subscribe: { policy: 'reject', topics: [] } })

  assert.equal((await api.disableDevice({ deviceId: device.id })).status, 'disabled')
  assert.deepEqual((await api.listDevices({ hubId: hub.id, status: 'disabled' })).devices.map((found) => found.id), [device.id])
  assert.equal((await api.listDevices({ hubId: hub.id, status: 'enabled' })).totalCount, 0)
  assert.equal((await api.enableDevice({ deviceId: device.id })).status, 'enabled')

  const renewed = await api.renewDeviceCertificate({ deviceId: device.id })
  assert.notEqual(renewed.certificate.crt, certificate.crt)
  assert.notEqual(renewed.certificate.key, certificate.key)
  const own = await api.setDeviceCertificate({ deviceId: device.id, certificatePem: certificate.crt })
  assert.equal(own.certificatePem, certificate.crt)
  assert.equal(own.device.hasCustomCertificate, true)
  await refused(api.renewDeviceCertificate({ deviceId: device.id }), Errors.PreconditionFailedError)

  const second = await api.createDevice({ hubId: hub.id, name: 'another' })
  const names = async (request) => (await api.listDevices({ hubId: hub.id, ...request })).devices.map((found) => found.name)
  assert.deepEqual(await names({ orderBy: 'name_asc' }), ['another', 'default-1'])
  assert.deepEqual(await names({ allowInsecure: true }), ['default-1'])
  assert.deepEqual(await names({ name: 'another' }), ['another'])
  await api.deleteDevice({ deviceId: second.device.id })
  await refused(api.getDevice({ deviceId: second.device.id }), Errors.ResourceNotFoundError,
    { resource: 'device', resourceId: second.device.id })
  await refused(api.deleteDevice({ deviceId: unknownId }), Errors.ResourceNotFoundError)
  assert.equal((await api.getHub({ hubId: hub.id })).deviceCount, 1)
})
console.log(JSON.stringify({ is: 'done' }))
