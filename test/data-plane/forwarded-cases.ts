/** Lines of X-Forwarded-For → the address that counts; undefined: the peer's. As the stock Envoy has it (test/envoy/forwarded-for.test.ts). */
export const forwardedCases: readonly (readonly [readonly string[], string | undefined])[] = [
  [['1.2.3.4'], '1.2.3.4'], [['1.2.3.4, 5.6.7.8'], '5.6.7.8'], [['1.2.3.4,5.6.7.8 '], '5.6.7.8'], [['1.2.3.4\t,\t5.6.7.8'], '5.6.7.8'], [['1.2.3.4', '5.6.7.8'], '5.6.7.8'], [[',1.2.3.4'], '1.2.3.4'],
  [['::1'], '::1'], [['2001:DB8::A'], '2001:db8::a'], [['0.0.0.0'], '0.0.0.0'],
  [[], undefined], [[''], undefined], [['x'], undefined], [['1.2.3.4, x'], undefined], [['1.2.3.4,'], undefined], [['1.2.3.4, '], undefined], [[','], undefined], [['1.2.3.4:80'], undefined], [['[::1]:80'], undefined], [['[::1]'], undefined],
  [['01.2.3.4'], undefined], [['1.2.3'], undefined], [['1.2.3.256'], undefined], [['"1.2.3.4"'], undefined], [['1.2.3.4;x'], undefined], [['1.2.3.4 5.6.7.8'], undefined], [['0x1.2.3.4'], undefined], [['unknown'], undefined],
]
