/** Every command: when it may be given, and what runs it. */
import type { CommandName, CommandOf } from '../codec/command.ts';
import type { Answer, Session, State } from '../session.ts';
import { getAcl, listRights, myRights, setAcl } from './acl.ts';
import { authenticate } from './authenticate.ts';
import { capability, enable, id, logout, namespace, noop, starttls } from './connection-state.ts';
import { copy, expunge } from './copy.ts';
import { fetch } from './fetch.ts';
import { store } from './flags.ts';
import { idle } from './idle.ts';
import { list, lsub, status, xlist } from './list.ts';
import { login } from './login.ts';
import { create, remove, rename, subscribe, unsubscribe } from './mailboxes.ts';
import { getQuota, getQuotaRoot, setQuota } from './quota.ts';
import { search } from './search.ts';
import { close, select, unselect } from './select.ts';

interface Entry<N extends CommandName> {
  readonly states: readonly State[];
  readonly run: (session: Session, command: CommandOf<N>) => Promise<Answer>;
}

const any: readonly State[] = ['stranger', 'user', 'selected'];
const stranger: readonly State[] = ['stranger'];
const user: readonly State[] = ['user', 'selected'];
const selected: readonly State[] = ['selected'];

export const commands: { readonly [N in CommandName]: Entry<N> } = {
  CAPABILITY: { states: any, run: capability },
  NOOP: { states: any, run: noop },
  LOGOUT: { states: any, run: logout },
  ID: { states: any, run: id },
  STARTTLS: { states: stranger, run: starttls },
  LOGIN: { states: stranger, run: login },
  AUTHENTICATE: { states: stranger, run: authenticate },
  ENABLE: { states: user, run: enable },
  NAMESPACE: { states: user, run: namespace },
  SELECT: { states: user, run: select },
  EXAMINE: { states: user, run: select },
  CREATE: { states: user, run: create },
  DELETE: { states: user, run: remove },
  RENAME: { states: user, run: rename },
  SUBSCRIBE: { states: user, run: subscribe },
  UNSUBSCRIBE: { states: user, run: unsubscribe },
  LIST: { states: user, run: list },
  LSUB: { states: user, run: lsub },
  XLIST: { states: user, run: xlist },
  STATUS: { states: user, run: status },
  GETQUOTA: { states: user, run: getQuota },
  GETQUOTAROOT: { states: user, run: getQuotaRoot },
  SETQUOTA: { states: user, run: setQuota },
  MYRIGHTS: { states: user, run: myRights },
  GETACL: { states: user, run: getAcl },
  LISTRIGHTS: { states: user, run: listRights },
  SETACL: { states: user, run: setAcl },
  DELETEACL: { states: user, run: setAcl },
  IDLE: { states: user, run: idle },
  CHECK: { states: selected, run: noop },
  CLOSE: { states: selected, run: close },
  UNSELECT: { states: selected, run: unselect },
  EXPUNGE: { states: selected, run: expunge },
  'UID EXPUNGE': { states: selected, run: expunge },
  FETCH: { states: selected, run: fetch },
  STORE: { states: selected, run: store },
  SEARCH: { states: selected, run: search },
  COPY: { states: selected, run: copy },
  MOVE: { states: selected, run: copy },
};
