// What the official server suite asks for by name, as data: tools, prompts and resources of a server made for it. Both
// revisions of the protocol serve it, each with an SDK of its own.

export const INFO = { name: 'hallpass-conformance-upstream', version: '1.0.0' };

export const PNG = 'iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mP8z8DwHwAFBQIAX8jx0gAAAABJRU5ErkJggg==';
export const WAV = 'UklGRiQAAABXQVZFZm10IBAAAAABAAEAQB8AAEAfAAABAAgAZGF0YQAAAAA=';

export const text = (words) => ({ type: 'text', text: words });
const embedded = (uri, mimeType, words) => ({ type: 'resource', resource: { uri, mimeType, text: words } });
const image = { type: 'image', data: PNG, mimeType: 'image/png' };

export const pause = (milliseconds) => new Promise((resolve) => setTimeout(resolve, milliseconds));

const NOTHING = { type: 'object', properties: {} };
export const needs = (properties) => ({ type: 'object', properties, required: Object.keys(properties) });

/** Keywords that a schema library would drop on their way through it. */
const WHOLE_2020_12 = {
  $schema: 'https://json-schema.org/draft/2020-12/schema',
  type: 'object',
  $defs: { address: { $anchor: 'addressDef', type: 'object', properties: { street: { type: 'string' }, city: { type: 'string' } } } },
  properties: {
    name: { type: 'string' },
    address: { $ref: '#/$defs/address' },
    contactMethod: { type: 'string', enum: ['phone', 'email'] },
    phone: { type: 'string' },
    email: { type: 'string' },
  },
  allOf: [{ anyOf: [{ required: ['phone'] }, { required: ['email'] }] }],
  if: { properties: { contactMethod: { const: 'phone' } }, required: ['contactMethod'] },
  then: { required: ['phone'] },
  else: { required: ['email'] },
  additionalProperties: false,
};

/** A tool: what the list says, and what it does with its arguments and with `call`, the way back to its client. */
export const tool = (name, run, inputSchema = NOTHING) => ({ name, description: `For the suite: ${name}`, inputSchema, run });

const says = (...content) => () => ({ content });

export const TOOLS = [
  tool('test_simple_text', says(text('This is a simple text response for testing.'))),
  tool('test_image_content', says(image)),
  tool('test_audio_content', says({ type: 'audio', data: WAV, mimeType: 'audio/wav' })),
  tool('test_embedded_resource', says(embedded('test://embedded-resource', 'text/plain', 'This is an embedded resource content.'))),
  tool('test_multiple_content_types', says(
    text('Multiple content types test:'),
    image,
    embedded('test://mixed-content-resource', 'application/json', '{"test":"data","value":123}'),
  )),
  tool('test_error_handling', () => ({ isError: true, content: [text('This tool intentionally returns an error for testing')] })),
  tool('test_tool_with_progress', async (_, call) => {
    for (const progress of [0, 50, 100]) {
      await call.progress(progress, 100);
      if (progress < 100) await pause(50);
    }
    return { content: [text('There was progress')] };
  }),
  tool('json_schema_2020_12_tool', (given) => ({ content: [text(JSON.stringify(given))] }), WHOLE_2020_12),
];

export const PROMPTS = [
  { name: 'test_simple_prompt', messages: () => [text('This is a simple prompt for testing.')] },
  {
    name: 'test_prompt_with_arguments',
    arguments: ['arg1', 'arg2'],
    messages: ({ arg1, arg2 }) => [text(`Prompt with arguments: arg1='${arg1}', arg2='${arg2}'`)],
  },
  {
    name: 'test_prompt_with_embedded_resource',
    arguments: ['resourceUri'],
    messages: ({ resourceUri }) => [
      embedded(resourceUri, 'text/plain', 'Embedded resource content for testing.'),
      text('Please process the embedded resource above.'),
    ],
  },
  { name: 'test_prompt_with_image', messages: () => [image, text('Please analyze the image above.')] },
];

export const listed = ({ name, arguments: names = [] }) => ({
  name,
  description: `For the suite: ${name}`,
  arguments: names.map((one) => ({ name: one, description: one, required: true })),
});

export const asMessages = (contents) => ({ messages: contents.map((content) => ({ role: 'user', content })) });

export const RESOURCES = [
  { uri: 'test://static-text', name: 'static-text', description: 'A text', mimeType: 'text/plain', text: 'This is the content of the static text resource.' },
  { uri: 'test://static-binary', name: 'static-binary', description: 'An image', mimeType: 'image/png', blob: PNG },
  { uri: 'test://watched-resource', name: 'watched-resource', description: 'To subscribe to', mimeType: 'text/plain', text: 'Watched.' },
];

export const TEMPLATE = { uriTemplate: 'test://template/{id}/data', name: 'template', description: 'Data by id', mimeType: 'application/json' };

/** The contents at a URI, if there is anything. */
export function read(uri) {
  const found = RESOURCES.find((one) => one.uri === uri);
  if (found) {
    const { mimeType, text: words, blob } = found;
    return [{ uri, mimeType, ...(blob ? { blob } : { text: words }) }];
  }
  const id = uri.match(/^test:\/\/template\/([^/]+)\/data$/)?.[1];
  if (!id) return undefined;
  return [{ uri, mimeType: TEMPLATE.mimeType, text: JSON.stringify({ id, templateTest: true, data: `Data for ID: ${id}` }) }];
}
