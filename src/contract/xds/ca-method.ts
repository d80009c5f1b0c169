// istio.v1.auth.IstioCertificateService/CreateCertificate, as both ends speak it.
import { create, fromBinary, toBinary, type Message } from '@bufbuild/protobuf'
import type { MethodDefinition } from '@grpc/grpc-js'
import { message } from '#proto'

export interface CertificateRequest {
  /** PEM. */
  readonly csr: string
  readonly validitySeconds: number
}

/** PEM, one certificate an element: leaf first, root bundle last. */
export type CertificateChain = readonly string[]

type RequestMessage = Message & { csr: string; validityDuration: bigint }
type ResponseMessage = Message & { certChain: string[] }
const requestSchema = message<RequestMessage>('istio.v1.auth.IstioCertificateRequest')
const responseSchema = message<ResponseMessage>('istio.v1.auth.IstioCertificateResponse')

export const createCertificateMethod: MethodDefinition<CertificateRequest, CertificateChain> = {
  path: '/istio.v1.auth.IstioCertificateService/CreateCertificate', requestStream: false, responseStream: false,
  requestSerialize: (r) => Buffer.from(toBinary(requestSchema, create(requestSchema, { csr: r.csr, validityDuration: BigInt(Math.round(r.validitySeconds)) } as never))),
  requestDeserialize(bytes) {
    const m = fromBinary(requestSchema, bytes)
    return { csr: m.csr, validitySeconds: Number(m.validityDuration) }
  },
  responseSerialize: (chain) => Buffer.from(toBinary(responseSchema, create(responseSchema, { certChain: [...chain] } as never))),
  responseDeserialize: (bytes) => fromBinary(responseSchema, bytes).certChain,
}
