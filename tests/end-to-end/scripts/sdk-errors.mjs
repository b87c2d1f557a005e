// Every error must come out of Scaleway's SDK as the class made for it, which needs every key of the body in place.
import {
  authenticateWithSessionToken, createAdvancedClient, Iotv1, withAdditionalInterceptors, withProfile,
} from '../../harness/node/clients.mjs'
import { api, apiWith, assert, Errors, hubUnderTest, refused, unknownId, withHub } from './hub-under-test.mjs'

const wrong = apiWith({ secretKey: '11111111-1111-4111-8111-111111111111' })
await refused(wrong.listHubs(), Errors.DeniedAuthenticationError, { method: 'api_key', reason: 'not_found', status: 401 })
await refused(wrong.getHub({ hubId: unknownId }), Errors.DeniedAuthenticationError)

// A person's session, as the console of the original sends it: there is nobody here who issues them.
const withSession = (token) => new Iotv1.API(createAdvancedClient(
  withProfile({ apiURL: hubUnderTest.apiUrl, defaultProjectId: hubUnderTest.projectId, defaultRegion: hubUnderTest.region }),
  withAdditionalInterceptors([{ request: authenticateWithSessionToken(async () => token) }])))
await refused(withSession('eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJtZSJ9.c2lnbmF0dXJl').listHubs(), Errors.DeniedAuthenticationError,
  { method: 'jwt', reason: 'not_found', status: 401 })
await refused(withSession('no JWT').listHubs(), Errors.DeniedAuthenticationError, { method: 'jwt', reason: 'invalid_argument' })

const name = 'n'.repeat(256)
const tooLong = await refused(api.createHub({ name, productPlan: 'plan_shared' }), Errors.InvalidArgumentsError, { status: 400 })
assert.deepEqual(tooLong.details.map((detail) => detail.argumentName), ['name'])
assert.equal(tooLong.details[0].reason, 'constraint')
await refused(api.listHubs({ pageSize: 101 }), Errors.InvalidArgumentsError)
await refused(api.getHub({ hubId: 'not-an-id' }), Errors.InvalidArgumentsError)
await refused(api.createHub({ projectId: unknownId, productPlan: 'plan_shared' }), Errors.PermissionsDeniedError, { status: 403 })
await refused(api.createDevice({ hubId: unknownId, name: 'x' }), Errors.ResourceNotFoundError,
  { resource: 'hub', resourceId: unknownId, status: 404 })

await withHub({}, async (hub) => {
  await refused(api.updateHub({ hubId: hub.id, productPlan: 'plan_dedicated' }), Errors.PreconditionFailedError, { status: 412 })
  await refused(api.updateHub({ hubId: hub.id, enableDeviceAutoProvisioning: true }), Errors.PreconditionFailedError)
})
console.log(JSON.stringify({ is: 'done' }))
