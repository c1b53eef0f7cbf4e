/** The mailboxes that a user finds: made and subscribed at login, and when a reload opens more of them. */
import type { Principal } from '../directory/directory.ts';
import { isStandard, languageOf, standardMailboxes } from '../directory/mailboxes.ts';
import { ownTree } from './mailbox-names.ts';
import type { Session } from './session.ts';

/** Makes the mailboxes that everybody has, and those of the shared mailboxes that the user may open. */
export async function openTrees(session: Session, principal: Principal): Promise<void> {
  const { store } = session.deps;
  const { tenant, user } = principal;
  session.treesOpen = true;
  const own = ownTree(principal);
  await store.ensureMailboxes(tenant.id, own, standardMailboxes(languageOf(tenant, own)));
  const subscribed = await store.subscriptions(tenant.id, user.login);
  for (const { owner } of session.shared) {
    await store.ensureMailboxes(tenant.id, owner, standardMailboxes(languageOf(tenant, owner)));
    // A client that shows subscribed mailboxes only would never find a shared one by itself.
    if (subscribed.some(({ owner: { type, name } }) => type === owner.type && name === owner.name)) continue;
    for (const mailbox of await store.mailboxes(tenant.id, owner))
      if (isStandard(mailbox)) await store.subscribeMailbox(tenant.id, user.login, owner, mailbox.name, true);
  }
}
