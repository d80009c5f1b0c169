// What policies on headers say of requests whose header has several lines or values. Bytes of lines are Latin-1, as they stand on the wire.
export interface HeaderRule {
  readonly action: 'ALLOW' | 'DENY'
  readonly name: string
  readonly values?: readonly string[]
  readonly notValues?: readonly string[]
}

export const spec = ({ action, name, values, notValues }: HeaderRule): object => ({ action, rules: [{ when: [{ key: `request.headers[${name}]`, ...(values === undefined ? {} : { values }), ...(notValues === undefined ? {} : { notValues }) }] }] })

/** What; the rule; lines of the header → status; and, where a stock Envoy as the sidecar lets pass what ours refuses, its own. */
export const headerCases: readonly (readonly [string, HeaderRule, readonly (readonly [readonly string[], number, number?])[]])[] = [
  ['DENY values', { action: 'DENY', name: 'x-role', values: ['admin'] }, [
    [[], 200], [['user'], 200], [['admin'], 403], [['admin', 'admin'], 403], [['admin', 'user'], 403], [['user', 'admin'], 403], [['admin, user'], 403], [['user,admin'], 403], [['user ,\tadmin ,x'], 403],
    [['administrator'], 200], [['x, \xff, admin'], 403], [['Admin'], 200], [['x\xffadmin'], 200],
  ]],
  ['DENY prefix and suffix', { action: 'DENY', name: 'x-role', values: ['adm*', '*root'] }, [[['user, admin'], 403], [['user', 'admx'], 403], [['chroot, user'], 403], [['user'], 200], [['xadm'], 200]]],
  ['DENY a value with a comma', { action: 'DENY', name: 'x-role', values: ['a,b'] }, [[['a,b'], 403], [['a', 'b'], 403, 200], [['b', 'a'], 200]]],
  ['DENY bytes beyond ASCII', { action: 'DENY', name: 'x-role', values: ['é'] }, [[['\xc3\xa9'], 403], [['x', 'y,\xc3\xa9'], 403], [['\xe9'], 200]]],
  ['DENY notValues', { action: 'DENY', name: 'x-role', notValues: ['user'] }, [[[], 403], [['user'], 200], [['user', 'user'], 200], [['user', 'admin'], 403], [['admin', 'user'], 403], [['user, admin'], 403], [['admin'], 403]]],
  ['ALLOW values', { action: 'ALLOW', name: 'x-role', values: ['admin'] }, [[[], 403], [['admin'], 200], [['admin', 'admin'], 200], [['admin', 'user'], 403], [['user', 'admin'], 403], [['admin, user'], 403], [['user'], 403], [['admin', 'x\xff'], 403]]],
  ['ALLOW one of several values', { action: 'ALLOW', name: 'x-role', values: ['admin', 'us*'] }, [[['admin', 'user'], 200], [['user'], 200], [['user', 'x'], 403], [['x', 'admin'], 403]]],
  ['ALLOW suffix', { action: 'ALLOW', name: 'x-role', values: ['*min'] }, [[['admin'], 200], [['admin', 'x'], 403], [['x', 'admin'], 403]]],
  ['ALLOW prefix and suffix', { action: 'ALLOW', name: 'x-role', values: ['ad*', '*er'] }, [[['admin', 'user'], 200], [['admin', 'x'], 403, 200]]],
  ['ALLOW presence', { action: 'ALLOW', name: 'x-role', values: ['*'] }, [[[], 403], [['x', 'y'], 200]]],
  ['ALLOW notValues', { action: 'ALLOW', name: 'x-role', notValues: ['bad'] }, [[[], 200], [['good'], 200], [['good', 'bad'], 403], [['bad', 'good'], 403], [['good, bad'], 403], [['good', 'also'], 200]]],
  ['DENY a cookie', { action: 'DENY', name: 'cookie', values: ['role=admin'] }, [[['a=b'], 200], [['role=admin'], 403], [['a=b; role=admin'], 403, 200], [['a=b', 'role=admin'], 403]]],
]
