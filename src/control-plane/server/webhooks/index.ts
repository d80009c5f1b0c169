// In: AdmissionReviews over HTTPS. Out: answers. The decisions are #inject's and #api's.
// Law: a pod that asks for a sidecar gets one or is refused; hostile input costs little.
// Read first: start-webhooks.ts, cluster-webhooks.ts.
export { clusterWebhooks } from './cluster-webhooks.ts'
export { startWebhooks, type WebhooksOptions } from './start-webhooks.ts'
