// In: a certificate request and proof of who asks. Out: a chain for that identity.
// Law: the caller's proven identity decides, never what the request says. Keys never leave this process's memory.
// Read first: service.ts, issue.ts.
export { ecdsaP256, isNearItsEnd, isSameCertificate, keptAuthority, newRootFiles, pluggedInAuthority, readAuthority, renewedRootFiles, selfSignedAuthority, type Authority, type AuthorityFiles } from './authority.ts'
export { issueCertificate, type IssueRequest } from './issue.ts'
export { createCertificateHandler, type CaService } from './service.ts'
export { caAudience, jwksReviewer, type Caller, type TokenReviewer } from './tokens.ts'
export { beginStaging, heard, offer, type Staging } from './staging.ts'
export { tokenReviewer, type TokenReviewApi } from './token-review.ts'
export { authorityMark, readStaging, standName, standsAt, standText, writeStaging, type Stand, type StagingRecord } from './staging-record.ts'
