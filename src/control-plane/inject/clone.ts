// A copy of plain JSON: structuredClone does the same ten times slower, and a webhook copies each pod.
export function cloneJson<T>(value: T): T {
  if (Array.isArray(value)) return value.map((v: unknown) => cloneJson(v)) as T
  if (typeof value !== 'object' || value === null) return value
  const out: Record<string, unknown> = {}
  for (const key of Object.keys(value)) {
    const copy = cloneJson((value as Record<string, unknown>)[key])
    // JSON may hold a key of this name; assigned, it would be the copy's prototype.
    if (key === '__proto__') Object.defineProperty(out, key, { value: copy, enumerable: true, configurable: true, writable: true })
    else out[key] = copy
  }
  return out as T
}
