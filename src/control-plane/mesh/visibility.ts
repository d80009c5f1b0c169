// exportTo: to which namespaces an object shows itself.

/** `exportTo` of an object in `owner`, with the mesh's default where it is empty; may `client` see it? */
export function isVisible(exportTo: readonly string[], owner: string, client: string, fallback: readonly string[]): boolean {
  const to = exportTo.length > 0 ? exportTo : fallback.length > 0 ? fallback : ['*']
  if (to.includes('~') && !to.includes('*')) return false
  return to.some((t) => t === '*' || (t === '.' ? owner === client : t === client))
}
