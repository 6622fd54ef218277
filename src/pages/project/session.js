// Who is signed in; a page begins when somebody is.

import { element } from '../show/element.js';
import { config, supabase } from './client.js';
import { refusal } from './refusal.js';

/** Gives the signed-in user, after asking who it is where nobody is. */
export async function signedIn() {
  const { data } = await supabase.auth.getSession();
  const user = data.session?.user ?? (await asked());
  // Signed out, here or in another tab: nothing of the person stays on the page.
  supabase.auth.onAuthStateChange((event) => {
    if (event === 'SIGNED_OUT') location.reload();
  });
  return user;
}

export const signOut = () => supabase.auth.signOut();

/** Shows the way in instead of the page until somebody has come through. */
function asked() {
  const main = document.querySelector('main');
  main.hidden = true;
  return new Promise((resolve) => {
    const door = element(
      'main',
      {},
      form((user) => {
        door.remove();
        main.hidden = false;
        resolve(user);
      }),
    );
    main.before(door);
    door.querySelector('input').focus();
  });
}

function form(enter) {
  const email = element('input', {
    id: 'email',
    type: 'email',
    name: 'email',
    autocomplete: 'username',
    required: true,
  });
  const password = element('input', {
    id: 'password',
    type: 'password',
    name: 'password',
    autocomplete: 'current-password',
    minlength: 6,
    required: true,
  });
  const said = element('p', { class: 'refusal', role: 'alert', hidden: true });
  const say = (text) => {
    said.textContent = text;
    said.hidden = false;
  };
  const attempt = async (request) => {
    said.hidden = true;
    const { data, error } = await request;
    if (error) return say(error.code === 'invalid_credentials' ? 'E-mail or password is wrong.' : refusal(error).text);
    if (!data.session) return say('Look into your mail: a link there confirms your address. Then sign in.');
    enter(data.user);
  };
  const credentials = () => ({ email: email.value, password: password.value });
  const signUp = () => fields.reportValidity() && attempt(supabase.auth.signUp(credentials()));
  const fields = element(
    'form',
    {
      submit: (event) => {
        event.preventDefault();
        attempt(supabase.auth.signInWithPassword(credentials()));
      },
    },
    element('label', { for: 'email' }, 'E-mail'),
    email,
    element('label', { for: 'password' }, 'Password'),
    password,
    said,
    element('button', { class: 'button primary wide' }, 'Sign in'),
    element('button', { type: 'button', class: 'button wide', click: signUp }, 'Make an account'),
  );
  const demo = () => attempt(supabase.auth.signInWithPassword(config.demo));
  return element(
    'section',
    { class: 'door card', 'aria-labelledby': 'door' },
    element('h1', { id: 'door' }, 'Welcome'),
    element('p', { class: 'quiet' }, 'Your photos and carousels are seen by you alone.'),
    fields,
    config.demo && [
      element('p', { class: 'or' }, 'or'),
      element('button', { type: 'button', class: 'button wide', click: demo }, 'Look around as the demo user'),
    ],
  );
}
