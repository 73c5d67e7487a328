import eslint from '@eslint/js';
import nx from '@nx/eslint-plugin';
import tseslint from 'typescript-eslint';

/** Which kinds of project a kind may import. The kind of a project is its tag, in its package.json. Nothing imports a plugin. */
const arrows = {
  'type:core': ['type:core'],
  'type:format': ['type:core', 'type:format'],
  'type:machine': ['type:core', 'type:machine'],
  'type:definition': ['type:core', 'type:definition'],
  'type:engine': ['type:core', 'type:definition', 'type:engine'],
  'type:host': ['type:core', 'type:definition', 'type:engine'],
  'type:app': ['type:core', 'type:definition', 'type:engine', 'type:host', 'type:machine'],
  'type:testkit': ['type:core'],
  'type:plugin': ['type:core', 'type:format', 'type:machine'],
  'type:tool': ['type:app', 'type:core', 'type:host', 'type:testkit', 'type:tool'],
};

function boundaries(extraTags = []) {
  return [
    'error',
    {
      enforceBuildableLibDependency: false,
      // The command loads what it needs when it needs it, so that `--help` is quick.
      checkDynamicDependenciesExceptions: ['.*'],
      depConstraints: Object.entries(arrows).map(([sourceTag, tags]) => ({
        sourceTag,
        onlyDependOnLibsWithTags: [...tags, ...extraTags],
      })),
    },
  ];
}

const tests = ['**/*.test.ts', '**/*.test-support.ts'];
const sources = ['{packages,plugins}/*/src/**/*.ts'];
const formats = ['plugins/*/src/**/*.ts', 'packages/{vhd,vmdk}/src/**/*.ts'];
const converters = ['plugins/converter-*/src/**/*.ts', 'packages/{vhd,vmdk}/src/**/*.ts'];

const keepsTheHostReplaceable = ['tsyringe', 'reflect-metadata', 'execa'].map((name) => ({
  name,
  message: 'Only packages/host may: plugins get PluginContext.run and export factories.',
}));
const makesFilesDiffer = 'Equal disks and options must give equal bytes: derive it from job.identity.';
const randomness = [
  'randomUUID',
  'randomBytes',
  'randomInt',
  'randomFill',
  'randomFillSync',
  'getRandomValues',
  'webcrypto',
];
const randomImports = ['node:crypto', 'crypto'].map((name) => ({
  name,
  importNames: randomness,
  message: makesFilesDiffer,
}));
const fileSystem = ['node:fs', 'node:fs/promises', 'fs', 'fs/promises'].map((name) => ({
  name,
  message: 'A converter reads its ImageFile and writes its DiskSink; the host opens files.',
}));

const noDefaultExport = {
  selector: 'ExportDefaultDeclaration, ExportSpecifier[exported.name="default"]',
  message: "Named exports only; a default export is for a plugin's entry.",
};
const erasable = [
  { selector: 'TSEnumDeclaration', message: 'Use a union of literals.' },
  { selector: 'TSModuleDeclaration[kind="namespace"]', message: 'A module is a file.' },
  { selector: 'TSParameterProperty', message: 'Declare the field.' },
];
const noClock = [
  { selector: 'NewExpression[callee.name="Date"][arguments.length=0]', message: makesFilesDiffer },
  { selector: 'CallExpression[callee.name="Date"]', message: makesFilesDiffer },
];

export default tseslint.config(
  { ignores: ['**/dist', '**/out-tsc', '**/coverage', '**/.nx', 'artifacts', '**/*.template'] },
  eslint.configs.recommended,
  tseslint.configs.recommended,
  {
    plugins: { '@nx': nx },
    linterOptions: { reportUnusedDisableDirectives: 'error' },
    rules: {
      'no-restricted-syntax': ['error', ...erasable],
      '@typescript-eslint/no-unused-vars': ['error', { argsIgnorePattern: '^_', varsIgnorePattern: '^_' }],
      eqeqeq: ['error', 'always', { null: 'ignore' }],
    },
  },
  {
    files: ['**/*.{mjs,js}'],
    languageOptions: {
      globals: Object.fromEntries(
        ['console', 'process', 'performance', 'setTimeout', 'setInterval', 'clearInterval', 'URL'].map((name) => [
          name,
          'readonly',
        ]),
      ),
    },
  },
  {
    files: sources,
    languageOptions: { parserOptions: { projectService: true, tsconfigRootDir: import.meta.dirname } },
    rules: {
      '@nx/enforce-module-boundaries': boundaries(),
      'no-restricted-syntax': ['error', ...erasable, noDefaultExport],
      'no-restricted-imports': ['error', { paths: keepsTheHostReplaceable }],
      '@typescript-eslint/no-floating-promises': 'error',
      '@typescript-eslint/await-thenable': 'error',
    },
  },
  { files: ['packages/host/src/**/*.ts'], rules: { 'no-restricted-imports': 'off' } },
  { files: ['plugins/*/src/index.ts'], rules: { 'no-restricted-syntax': ['error', ...erasable] } },
  {
    files: formats,
    ignores: tests,
    rules: {
      'no-restricted-globals': ['error', { name: 'console', message: 'Use the log of PluginContext.' }],
      'no-restricted-properties': [
        'error',
        { object: 'Date', property: 'now', message: makesFilesDiffer },
        { object: 'Math', property: 'random', message: makesFilesDiffer },
        { object: 'process', property: 'env', message: 'Take an option: a plugin does not depend on the environment.' },
        ...randomness.map((property) => ({ object: 'crypto', property, message: makesFilesDiffer })),
      ],
      'no-restricted-imports': ['error', { paths: [...keepsTheHostReplaceable, ...randomImports] }],
      'no-restricted-syntax': ['error', ...erasable, ...noClock, noDefaultExport],
    },
  },
  {
    files: converters,
    ignores: tests,
    rules: {
      'no-restricted-imports': ['error', { paths: [...keepsTheHostReplaceable, ...randomImports, ...fileSystem] }],
    },
  },
  {
    files: ['plugins/*/src/index.ts'],
    rules: { 'no-restricted-syntax': ['error', ...erasable, ...noClock] },
  },
  { files: tests, rules: { '@nx/enforce-module-boundaries': boundaries(['type:testkit']) } },
);
