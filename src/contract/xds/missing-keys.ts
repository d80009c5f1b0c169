// What stands in for keys that could not be fetched: a set whose one private key has been thrown away, so that no token holds, and nobody takes the filter for a broken one.

export const missingKeysId = 'kith-no-keys'

/** A JSON Web Key Set. */
export const missingKeys = JSON.stringify({ keys: [{ kty: 'EC', crv: 'P-256', kid: missingKeysId, x: 'meMfcvdwf3emOSMwjFLbHxFBFSQRQ7ux9Z0mpZWYLwQ', y: 'f1_F28HnrmY28QmzmJG_6MUi5qjukZsB1DoO7KB_8F0' }] })
