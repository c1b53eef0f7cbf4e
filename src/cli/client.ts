/** `client`: what mail programs are set up with. */
import { type Command, Option } from 'commander';
import { type TagLanguage, tagLanguages, tags, thunderbirdTags } from './client-tags.ts';
import { type Context, withCommonOptions } from './context.ts';
import { exit } from './exit.ts';

export function register(program: Command, context: Context): void {
  const client = program.command('client').description('settings for mail programs');
  withCommonOptions(client.command('thunderbird-tags'))
    .description("lines for Thunderbird's user.js: the gateway's keywords as named, coloured tags")
    .addOption(new Option('--language <language>', 'of the names').choices(tagLanguages).default('de'))
    .action(
      context.action(async (options: { language: TagLanguage; json?: true }) => {
        if (options.json)
          for (const { keyword, name, colour } of tags)
            context.printJson({ keyword, name: name[options.language], colour });
        else for (const line of thunderbirdTags(options.language)) context.print(line);
        return exit.good;
      }),
    );
}
