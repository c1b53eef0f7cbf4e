/**
 * The import rules of docs/architecture.md, "Rooms".
 * services -> directory, evidence, store -> pure rooms; no service imports another.
 */
const services = ['smtp', 'provider', 'imap', 'preservation', 'console', 'transparency'];
const pure = '^src/(demail|mime|imap/codec)/';

module.exports = {
  forbidden: [
    { name: 'no-circular', severity: 'error', from: {}, to: { circular: true } },
    ...services.map((room) => ({
      name: `service-${room}-stands-alone`,
      comment: 'Services meet in the store only.',
      severity: 'error',
      from: { path: `^src/${room}/` },
      to: { path: `^src/(${services.filter((other) => other !== room).join('|')}|cli|simulator)/|^src/(main|gateway)\\.ts$` },
    })),
    {
      name: 'pure-rooms-are-pure',
      comment: 'No I/O, no clock, no configuration in the norm, MIME and codec rooms. evidence/entry.ts holds the types they fill.',
      severity: 'error',
      from: { path: pure, pathNot: '\\.test\\.ts$' },
      to: {
        path: '^src/((config|directory|store|observe|smtp|provider|cli|simulator|pki)/|imap/(?!codec/)|evidence/(?!entry\\.ts$))|^(node:)?(fs|net|tls|http|https|dns|child_process|worker_threads)(/|$)',
      },
    },
    {
      name: 'evidence-core-is-pure',
      severity: 'error',
      from: {
        path: '^src/evidence/((entry|merkle|checkpoint|cosignature|log-keys|log-notes|note|proof|tile-path|witness-request|facts|projection|canonical)\\.ts$|ers/)',
        pathNot: '\\.test\\.ts$',
      },
      to: { path: '^src/(config|directory|store|observe|smtp|provider|imap|cli|simulator)/|^(node:)?(fs|net|tls|http|https|dns|child_process|worker_threads)(/|$)' },
    },
    {
      name: 'foundations-know-no-service',
      severity: 'error',
      from: { path: '^src/(config|directory|evidence|store|pki|observe|inspection)/', pathNot: '\\.test\\.ts$' },
      to: { path: '^src/(smtp|provider|imap/(?!codec/)|preservation|console|transparency|cli|simulator)/|^src/(main|gateway)\\.ts$' },
    },
    {
      name: 'simulator-shares-no-norm-code',
      comment: 'One mistake must not hide in both: integrity header, confirmation XML, canonical forms.',
      severity: 'error',
      from: { path: '^src/simulator/', pathNot: '\\.test\\.ts$' },
      to: { path: '^src/(demail|mime|pki|evidence|store|provider|smtp|config|directory)/|^src/imap/(?!codec/)' },
    },
    {
      name: 'gateway-does-not-know-the-simulator',
      severity: 'error',
      from: { path: '^src/', pathNot: '^src/(simulator|cli)/|\\.test\\.ts$' },
      to: { path: '^src/simulator/' },
    },
    {
      name: 'no-dev-dependency-in-source',
      severity: 'error',
      from: { path: '^src/', pathNot: '\\.test\\.ts$|^src/.*/testing/' },
      to: { dependencyTypes: ['npm-dev'] },
    },
  ],
  options: {
    doNotFollow: { path: 'node_modules' },
    tsPreCompilationDeps: true,
    tsConfig: { fileName: 'tsconfig.json' },
    enhancedResolveOptions: { extensions: ['.ts', '.js', '.json'], exportsFields: ['exports'], conditionNames: ['import', 'require', 'node', 'default', 'types'] },
  },
};
