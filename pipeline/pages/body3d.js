// One person's body in the 3D view: our own mesh on 24 bones, or limbs where the body is another.

const GREY = 0.55;
const LIMB_RADIUS = 0.045;

export class Body3D {
  constructor(person, data) {
    this.person = person;
    this.data = data;
    this.group = new THREE.Group();
    this.material = new THREE.MeshLambertMaterial({ color: person.colour });
    this.full = new THREE.Color(person.colour);
    this.grey = new THREE.Color(GREY, GREY, GREY);
    this.bones = this.makeBones();
    this.group.add(this.bones[0]);
    if (person.hasMesh && data.body) this.group.add(this.makeSkin(data.body));
    else this.addLimbs();
    this.q = new THREE.Quaternion();
    this.axis = new THREE.Vector3();
  }

  rest(joint) {
    return new THREE.Vector3().fromArray(this.person.restJoints, 3 * joint);
  }

  makeBones() {
    const bones = this.data.parents.map(() => new THREE.Bone());
    this.data.parents.forEach((parent, joint) => {
      bones[joint].position.copy(this.rest(joint));
      if (parent < 0) return;
      bones[joint].position.sub(this.rest(parent));
      bones[parent].add(bones[joint]);
    });
    return bones;
  }

  makeSkin(body) {
    const { count, template, shapes, faces, bones, weights } = body;
    const position = Float32Array.from(template);
    this.person.betas.forEach((beta, number) => {
      const shape = shapes[number];
      if (beta !== 0) for (let i = 0; i < position.length; i++) position[i] += beta * shape[i];
    });
    const geometry = new THREE.BufferGeometry();
    geometry.setAttribute("position", new THREE.BufferAttribute(position, 3));
    geometry.setAttribute("skinIndex", new THREE.BufferAttribute(Uint16Array.from(bones), 4));
    geometry.setAttribute("skinWeight", new THREE.BufferAttribute(Float32Array.from(weights, (w) => w / 255), 4));
    geometry.setIndex(new THREE.BufferAttribute(faces, 1));
    geometry.computeVertexNormals();
    const away = this.data.parents.map((_, joint) => new THREE.Matrix4().setPosition(this.rest(joint).negate()));
    const mesh = new THREE.SkinnedMesh(geometry, this.material);
    mesh.bind(new THREE.Skeleton(this.bones, away), new THREE.Matrix4());
    mesh.frustumCulled = false; // the rest pose's bounds say nothing of where the person is
    this.vertices = count;
    return mesh;
  }

  addLimbs() {
    this.data.parents.forEach((parent, joint) => {
      const ball = new THREE.Mesh(new THREE.SphereGeometry(joint === 15 ? 0.11 : LIMB_RADIUS, 16, 10), this.material);
      this.bones[joint].add(ball);
      if (parent < 0) return;
      const along = this.bones[joint].position, length = along.length();
      const limb = new THREE.Mesh(new THREE.CylinderGeometry(LIMB_RADIUS, LIMB_RADIUS, length, 12), this.material);
      limb.position.copy(along).multiplyScalar(0.5);
      limb.quaternion.setFromUnitVectors(new THREE.Vector3(0, 1, 0), along.clone().normalize());
      this.bones[parent].add(limb);
    });
  }

  // A rotation vector of the kept poses as a quaternion.
  turn(target, place, joint) {
    this.axis.fromArray(this.person.rotvec, 72 * place + 3 * joint);
    const angle = this.axis.length();
    return angle < 1e-8 ? target.identity() : target.setFromAxisAngle(this.axis.divideScalar(angle), angle);
  }

  show(time) {
    const there = this.person.present(time);
    this.group.visible = there;
    if (!there) return;
    const { before, after, between } = this.person.pose(time), trans = this.person.trans;
    this.bones.forEach((bone, joint) => {
      this.turn(bone.quaternion, before, joint);
      if (between > 0) bone.quaternion.slerp(this.turn(this.q, after, joint), between);
    });
    const root = this.bones[0].position.copy(this.rest(0));
    for (const [axis, name] of ["x", "y", "z"].entries()) {
      root[name] += (1 - between) * trans[3 * before + axis] + between * trans[3 * after + axis];
    }
    const trust = Math.min(1, this.person.trust[this.person.place(time)] / this.data.full_trust);
    this.material.color.lerpColors(this.grey, this.full, Number.isFinite(trust) ? 0.25 + 0.75 * trust : 0.25);
  }

  // Where the hips and the head are, in the site frame.
  place(target, joint = 0) {
    return target.setFromMatrixPosition(this.bones[joint].matrixWorld);
  }

  dispose() {
    this.group.traverse((node) => { if (node.geometry) node.geometry.dispose(); });
    this.material.dispose();
  }
}
