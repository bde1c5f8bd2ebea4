// Lists a namespace with the JavaScript SDK and prints what it understood, as JSON.
// Takes the connection string from the environment, so that no key is in the list of processes.
import { ServiceBusAdministrationClient } from "@azure/service-bus";

const client = new ServiceBusAdministrationClient(process.env.SERVICE_BUS_CONNECTION_STRING, {
  retryOptions: { maxRetries: 0 },
});

async function all(pages) {
  const found = [];
  for await (const entity of pages) {
    const { _response, ...values } = entity;
    found.push(values);
  }
  return found;
}

const topics = await all(client.listTopicsRuntimeProperties());
const subscriptions = {};
for (const topic of topics) {
  subscriptions[topic.name] = await all(client.listSubscriptionsRuntimeProperties(topic.name));
}
const { _response, ...namespace } = await client.getNamespaceProperties();
console.log(
  JSON.stringify({
    namespace,
    queues: await all(client.listQueuesRuntimeProperties()),
    queueSettings: await all(client.listQueues()),
    topics,
    topicSettings: await all(client.listTopics()),
    subscriptions,
  }),
);
