// In: a pod (or what makes pods) and its namespace. Out: whether it gets a sidecar, with the reason.
// Law: pure; one decision for webhook, kube-inject, local mesh and explain.
// Read first: decide.ts.
export { decideInjection, injectionRequired, injectKey, selects, type InjectionCandidate, type InjectionSettings } from './decide.ts'
export { annotationFaults, checkedAnnotations } from './annotations.ts'
export { injectObject, type ObjectResult } from './inject-object.ts'
export { injectPod, type InjectContext, type InjectedPod, type PodInput } from './inject-pod.ts'
export { injectSettings, type InjectSettings } from './settings.ts'
export { injectorConditions, mutatingName, validatingName, webhookConfigurations, type MatchCondition, type WebhookOptions } from './webhook-configuration.ts'
export { admissionAnswer, readAdmissionReview, refusal, refuseReview, reviewAdmission, type AdmissionRequest, type AdmissionResponse, type Review, type ReviewContext, type ReviewedPod } from './review.ts'
export { ownerOfPod, ownerUrl, type PodOwner } from './owner.ts'
export { createInjector, type Injector, type InjectorSource } from './injector.ts'
export type { Yaml } from './go-template/index.ts'
export { checkWebhooks, type WebhookCheck } from './check-webhooks.ts'
export { nativeSetting, nativeSidecars, type NativeSetting } from './native-sidecars.ts'
