// In: what shall be: links, addresses, routes, nf_tables' tables; a socket. Out: bytes to the kernel and its answer; where a redirected connection wanted to go.
// Law: FFI lives here and nowhere else, and is loaded at first use. Messages are pure; everything that calls the kernel is synchronous.
// Read first: libc.ts, message.ts; then nftables.ts (tables), links.ts (rtnetlink), sockets.ts (what the proxy uses), namespaces.ts.
export { SystemCallError } from './libc.ts'
export { configureLinks, loopbackIndex, type LinkChange } from './links.ts'
export { currentNamespace, inNamespaces, mount, newMountNamespace, newNetworkNamespace, reapOrphans, type MountOptions, type Namespaces } from './namespaces.ts'
export type { Match, Statement } from './nft-expressions.ts'
export type { NftChain, NftRule, NftTable, TableFamily } from './nftables.ts'
export { replaceTable } from './replace-table.ts'
export { fileDescriptor, markedSocket, originalDestination, resetOnClose, tcpInfo, tcpStates, type MarkedSocketOptions, type SocketAddress, type TcpInfo } from './sockets.ts'
