import assert from 'node:assert/strict'
import { test } from 'node:test'
import { conflictText } from './apply.ts'

test('a conflict in the API server’s words becomes: which fields, set by whom', () => {
  const cases: readonly (readonly [string, string])[] = [
    ['PATCH /apis/apps/v1/x: Apply failed with 1 conflict: conflict with "kubectl" with subresource "scale" using apps/v1: .spec.replicas', 'spec.replicas was set by kubectl'],
    ['Apply failed with 2 conflicts: conflicts with "helm" using v1:\n- .data.mesh\n- .metadata.labels.app', 'data.mesh, metadata.labels.app were set by helm'],
    ['Apply failed with 5 conflicts: conflicts with "a" using v1:\n- .a\n- .b\n- .c\nconflicts with "b" using v1:\n- .d\n- .e', 'a, b, c and 2 more were set by a, b'],
    ['something else', 'something else'],
  ]
  for (const [message, text] of cases) assert.equal(conflictText(message), text)
})
