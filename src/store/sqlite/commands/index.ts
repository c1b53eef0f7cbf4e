/** Every write command by name, as it travels to the writer thread. */

import { rescheduleForward } from '../restored-queue.ts';
import { finishArchiveToken, recordArchiveTimestamp } from './archive.ts';
import {
  deliverNotice,
  openTenant,
  recordAccess,
  recordFetched,
  recordForwardIntent,
  recordForwardOutcome,
  recordIncident,
  recordOperation,
} from './arrivals.ts';
import { erase, noteErasures } from './erasure.ts';
import {
  planReverification,
  recordDeletionIntent,
  recordDeletionOutcome,
  recordLoginIntent,
  recordLoginOutcome,
  recordOpened,
  recordOverdue,
  recordVerdict,
  setLock,
} from './judgement.ts';
import { recordRotation, rewrapKeys, takeKeys } from './keys.ts';
import {
  acceptSubmission,
  expireRecipients,
  recordHandoverIntent,
  recordHandoverOutcome,
  rescheduleTransaction,
  settleHandover,
} from './letters.ts';
import { closeLog, holdLog, recordCosigned, releaseLog, rotateLogKey } from './logs.ts';
import {
  appendMessage,
  changeFlags,
  copyMessages,
  createMailbox,
  deleteMailbox,
  ensureMailboxes,
  expunge,
  moveMessages,
  recordFingerprints,
  renameMailbox,
  subscribeMailbox,
} from './mailboxes.ts';
import { placeWaiting } from './placed.ts';
import {
  approveErasure,
  holdLetters,
  proposeErasure,
  recordAnnounced,
  withdrawErasure,
} from './retention.ts';
import { planScan, recordRefusal, recordScan } from './scanning.ts';
import { dropSearchText, openSearchText, recordSearchTexts } from './search-text.ts';

export const commands = {
  openTenant,
  acceptSubmission,
  recordHandoverIntent,
  recordHandoverOutcome,
  settleHandover,
  expireRecipients,
  rescheduleTransaction,
  rescheduleForward,
  deliverNotice,
  recordFetched,
  recordRefusal,
  recordScan,
  planScan,
  recordForwardIntent,
  recordForwardOutcome,
  recordVerdict,
  planReverification,
  recordOverdue,
  recordLoginIntent,
  recordLoginOutcome,
  recordDeletionIntent,
  recordDeletionOutcome,
  recordOpened,
  placeWaiting,
  setLock,
  recordAccess,
  recordOperation,
  recordIncident,
  recordArchiveTimestamp,
  finishArchiveToken,
  takeKeys,
  rewrapKeys,
  recordRotation,
  ensureMailboxes,
  createMailbox,
  renameMailbox,
  deleteMailbox,
  subscribeMailbox,
  appendMessage,
  recordFingerprints,
  copyMessages,
  moveMessages,
  changeFlags,
  expunge,
  rotateLogKey,
  holdLog,
  releaseLog,
  closeLog,
  recordCosigned,
  erase,
  noteErasures,
  holdLetters,
  proposeErasure,
  approveErasure,
  withdrawErasure,
  recordAnnounced,
  openSearchText,
  dropSearchText,
  recordSearchTexts,
};

export type Commands = typeof commands;
export type CommandName = keyof Commands;
export type CommandArguments<N extends CommandName> = Parameters<Commands[N]>[2];
export type CommandResult<N extends CommandName> = ReturnType<Commands[N]>;
