// Cloud twins through Scaleway's SDK: put, get, patch, versions, list, delete.
import { api, assert, Errors, refused, unknownId, withHub } from './hub-under-test.mjs'

await withHub({}, async (hub) => {
  const { device } = await api.createDevice({ hubId: hub.id, name: 'twin' })
  const twinId = device.id
  assert.deepEqual((await api.listTwinDocuments({ twinId })).documents, [])
  await refused(api.getTwinDocument({ twinId, documentName: 'current' }), Errors.ResourceNotFoundError, { resource: 'twin_document' })

  const data = { alarm_armed: false, camelCase: { 'snake_case': [1, { x: 'y' }] }, number: 20.5 }
  const first = await api.putTwinDocument({ twinId, documentName: 'current', data })
  assert.deepEqual(first, { twinId, documentName: 'current', version: 1, data })
  const second = await api.putTwinDocument({ twinId, documentName: 'current', version: 1, data: { alarm_armed: true } })
  assert.equal(second.version, 2)
  assert.deepEqual(second.data, { alarm_armed: true })
  await refused(api.putTwinDocument({ twinId, documentName: 'current', version: 1, data: {} }), Errors.InvalidArgumentsError)

  const patched = await api.patchTwinDocument({
    twinId, documentName: 'current', version: 2, data: { alarm_armed: null, door: { open: true } },
  })
  assert.deepEqual(patched, { twinId, documentName: 'current', version: 3, data: { door: { open: true } } })
  assert.deepEqual(await api.getTwinDocument({ twinId, documentName: 'current' }), patched)
  await refused(api.patchTwinDocument({ twinId, documentName: 'missing', data: {} }), Errors.ResourceNotFoundError)

  await api.putTwinDocument({ twinId, documentName: 'desired', data: {} })
  assert.deepEqual((await api.listTwinDocuments({ twinId })).documents, [{ documentName: 'current' }, { documentName: 'desired' }])
  await api.deleteTwinDocument({ twinId, documentName: 'current' })
  assert.deepEqual((await api.listTwinDocuments({ twinId })).documents, [{ documentName: 'desired' }])
  await api.deleteTwinDocuments({ twinId })
  assert.deepEqual((await api.listTwinDocuments({ twinId })).documents, [])
  await refused(api.listTwinDocuments({ twinId: unknownId }), Errors.ResourceNotFoundError, { resourceId: unknownId })
})
console.log(JSON.stringify({ is: 'done' }))
