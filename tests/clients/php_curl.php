<?php
// Does PHP's curl work through the gateway? json_encode writes every slash of base64 as \/.

const CLIENT = 'php-curl';

function needed(string $name): string
{
    $value = getenv($name);
    if ($value === false || $value === '') {
        fwrite(STDERR, "$name is not set\n");
        exit(1);
    }
    return $value;
}

function fail(string $step, string $why): never
{
    fwrite(STDERR, 'FAILED ' . CLIENT . ": $step: $why\n");
    exit(1);
}

function ok(string $step): void
{
    echo 'ok ' . CLIENT . ": $step\n";
}

function image(string $name): string
{
    $bytes = file_get_contents(needed('DCAMS_IMAGES') . "/$name");
    if ($bytes === false) {
        fail('images', "$name cannot be read");
    }
    return base64_encode($bytes);
}

$handle = curl_init(rtrim(needed('DCAMS_URL'), '/') . '/v3/stable/api/storage');
$ports = [];

function post(array $body): array
{
    global $handle, $ports;
    $json = json_encode($body, JSON_THROW_ON_ERROR);
    curl_setopt_array($handle, [
        CURLOPT_POST => true,
        CURLOPT_POSTFIELDS => $json,
        CURLOPT_RETURNTRANSFER => true,
        CURLOPT_TIMEOUT => 60,
        CURLOPT_HTTPHEADER => ['Content-Type: application/json', 'Authorization: Bearer ' . needed('DCAMS_KEY')],
    ]);
    $answer = curl_exec($handle);
    if ($answer === false) {
        fail('request', curl_error($handle));
    }
    $ports[curl_getinfo($handle, CURLINFO_LOCAL_PORT)] = true;
    return [
        'status' => curl_getinfo($handle, CURLINFO_RESPONSE_CODE),
        'media_type' => (string) curl_getinfo($handle, CURLINFO_CONTENT_TYPE),
        'body' => json_decode($answer, true, 512, JSON_THROW_ON_ERROR),
        'slashes' => substr_count($json, '\\/'),
    ];
}

function step(string $name, string $service, array $target, array $wanted = []): array
{
    $reference = $service === 'createOrUpdateCustomer' ? ['reference' => '888888812'] : [];
    $answer = post(['service' => $service] + $reference + ['target' => $target]);
    if ($answer['status'] !== 200 || ($answer['body']['result'] ?? '') !== 'Success') {
        fail($name, $answer['status'] . ' ' . substr(json_encode($answer['body']), 0, 300));
    }
    foreach ($wanted as $member => $value) {
        if (($answer['body'][$member] ?? null) !== $value) {
            fail($name, "$member is not $value");
        }
    }
    ok($name);
    return $answer;
}

function images(string $name, string $email, string $front, string $back): void
{
    $documents = step($name, 'getDocumentImages', ['email' => $email])['body']['target']['documents'];
    if ($documents !== ['front' => $front, 'back' => $back]) {
        fail($name, 'the images are not those that were sent');
    }
}

$email = CLIENT . '-' . hrtime(true) . '@example.com';
[$photo, $scan] = [image('phone-photo.jpg'), image('scan.png')];
$person = [
    'email' => $email, 'fn' => 'Zoë', 'ln' => "O'Neil", 'addr' => '123 Main St', 'city' => 'Stratford',
    'state' => 'CT', 'zip' => '06614', 'dob' => '19700101', 'phone' => '2015106000',
];

$created = step(
    'created with two photos of ' . strlen($photo) . ' bytes as base64',
    'createOrUpdateCustomer',
    $person + ['documents' => ['front' => $photo, 'back' => $photo]],
    ['type' => 'createCustomer'],
);
if ($created['body']['target'] !== $person) {
    fail('created', 'the attributes are not those that were sent');
}
if ($created['slashes'] < 1000) {
    fail('created', 'json_encode was expected to escape thousands of slashes');
}
images('both photos read back', $email, $photo, $photo);
step(
    'updated with another image',
    'createOrUpdateCustomer',
    $person + ['documents' => ['front' => $photo, 'back' => $scan]],
    ['type' => 'updateCustomer'],
);
images('photo and scan read back', $email, $photo, $scan);
$updated = step('status set', 'updateStatus', ['email' => $email, 'status' => 'PASS']);
if (($updated['body']['target']['status'] ?? '') !== 'PASS') {
    fail('status set', 'target.status is not PASS');
}
step('status read back', 'getStatus', ['email' => $email], ['status' => 'PASS']);

$name = "an unknown e-mail is DCAMS's own error";
$answer = post(['service' => 'getStatus', 'target' => ['email' => "nobody-$email"]]);
$wanted = ['result' => 'Error', 'message' => 'The email address was not found'];
if (!in_array($answer['status'], [200, 404], true) || $answer['body'] !== $wanted) {
    fail($name, $answer['status'] . ' ' . json_encode($answer['body']));
}
ok($name);

$name = 'a wrong date of birth is refused with 422';
$answer = post(['service' => 'createOrUpdateCustomer', 'target' => ['email' => $email, 'dob' => 'yesterday']]);
if ($answer['status'] !== 422 || !str_starts_with($answer['media_type'], 'application/problem+json')) {
    fail($name, $answer['status'] . ' ' . $answer['media_type']);
}
$body = $answer['body'];
if (($body['result'] ?? '') !== 'Error' || ($body['code'] ?? '') !== 'schema_violation' || empty($body['message'])) {
    fail($name, json_encode($body));
}
ok($name);

if (count($ports) !== 1) {
    fail('keep-alive', count($ports) . ' connections');
}
ok('over one connection');
