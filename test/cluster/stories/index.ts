// The stories, in the order in which they are told: the seed from top to bottom, then what may go wrong, then the end.
import { injection } from './injection.ts'
import { install } from './install.ts'
import { eviction, outage } from './outage.ts'
import { rootChange } from './root-change.ts'
import { secondWebhook } from './second-webhook.ts'
import { startup } from './startup.ts'
import type { Story } from './story.ts'
import { credentials, tokens } from './tokens.ts'
import { uninstall } from './uninstall.ts'
import { walkthrough } from './walkthrough.ts'
import { classicSidecars, jobs, manualInjection, probes, redirection } from './workloads.ts'

export const stories: readonly Story[] = [install, injection, walkthrough, tokens, credentials, manualInjection, jobs, classicSidecars, redirection, probes, secondWebhook, outage, eviction, startup, rootChange, uninstall]

/** All that the stories make. */
export const namespaces = ['foo', 'bar', 'legacy', 'outside', 'manual', 'second', 'plain', 'meshed']
