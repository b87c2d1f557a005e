// The clients that scripts of the tests use; they are installed beside this file.
export { default as mqtt } from 'mqtt'
export {
  authenticateWithSessionToken, createAdvancedClient, createClient, Errors, withAdditionalInterceptors, withProfile,
} from '@scaleway/sdk-client'
export { Iotv1 } from '@scaleway/sdk-iot'
